// Serve a repository's metadata/ and targets/ as any web server would: static files over plain http, on loopback.
//
//	node serve.js DIR PORTFILE	the port goes to PORTFILE; each request to standard output, its status in front
'use strict';
const fs = require('fs');
const http = require('http');
const path = require('path');
const [dir, portFile] = process.argv.slice(2);

function read(url) {
	const name = decodeURIComponent(url);
	if (!/^\/(metadata|targets)\//.test(name) || name.split('/').includes('..')) return undefined;
	try {
		return fs.readFileSync(path.join(dir, name));
	} catch {
		return undefined;
	}
}

const server = http.createServer((request, answer) => {
	const bytes = read(request.url);
	console.log(bytes ? 200 : 404, request.url);
	answer.writeHead(bytes ? 200 : 404);
	answer.end(bytes);
});
server.listen(0, '127.0.0.1', () => {
	fs.writeFileSync(`${portFile}.new`, `${server.address().port}\n`);
	fs.renameSync(`${portFile}.new`, portFile);
});
