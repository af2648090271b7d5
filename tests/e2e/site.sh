# For tests that need signers, a ceremony or a site in force; read after lib.sh.
#
#	signer NAME		a home NAME with the unsealed key NAME; NAME.pub beside it
#	as NAME CMD...		meshanics CMD with the home NAME
#	fingerprint REQUEST	its first sixteen digits, as they are told on the telephone
#	site_init HOME [ARG...]	repo init there; the public part is HOME.online.json
#	site_request HOME OUT [ARG...]	alice's request: 2 of alice, bob, carol for root, 1 of alice, bob for targets
#	site_ceremony HOME	the whole ceremony, alice and carol sign: HOME.out/root.json, targets.json
#	site_up HOME [ARG...]	all of it, and adopted: a repository in force
#	site_depot HOME		repo init of site HOME, and the ceremony for its first root, like that of hq: HOME.out/root.json
# shellcheck shell=sh

as() {
	site_v=$1
	shift
	meshanics --home "$TEST_DIR/$site_v" "$@"
}

signer() {
	as "$1" key generate "$1" --unsealed --quiet 2>/dev/null &&
		cp "$1/keys/$1.pub" "$1.pub"
}

fingerprint() {
	as alice ceremony status "$1" --json | jq -r '.request[0:16]'
}

site_init() {
	site_v=$1
	shift
	as "$site_v" repo init --publisher 'releases:plant/*/*' --output "$site_v.online.json" "$@"
}

site_request() {
	site_h=$1 site_o=$2
	shift 2
	as alice ceremony new --online-keys "$site_h.online.json" --root-key alice.pub --root-key bob.pub \
		--root-key carol.pub --root-threshold 2 --targets-key alice.pub --targets-key bob.pub \
		--output "$site_o" "$@"
}

site_ceremony() {
	site_request "$1" "$1.request.json" &&
		site_f=$(fingerprint "$1.request.json") &&
		as alice ceremony sign "$1.request.json" --key alice --fingerprint "$site_f" -o "$1.alice.json" &&
		as carol ceremony sign "$1.request.json" --key carol --fingerprint "$site_f" -o "$1.carol.json" &&
		mkdir "$1.out" &&
		as alice ceremony finish "$1.request.json" "$1.alice.json" "$1.carol.json" -o "$1.out"
}

site_up() {
	[ -e alice.pub ] || signer alice || return 1
	[ -e bob.pub ] || signer bob || return 1
	[ -e carol.pub ] || signer carol || return 1
	site_init "$@" && site_ceremony "$1" && as "$1" repo adopt "$1.out/root.json" "$1.out/targets.json"
}

site_depot() {
	site_h=$1
	as "$site_h" repo init --site "$site_h" --output "$site_h.online.json" &&
		as alice ceremony new --online-keys "$site_h.online.json" --like hq.out/root.json -o "$site_h.request.json" &&
		site_f=$(fingerprint "$site_h.request.json") &&
		as alice ceremony sign "$site_h.request.json" --key alice --fingerprint "$site_f" -o "$site_h.alice.json" &&
		as carol ceremony sign "$site_h.request.json" --key carol --fingerprint "$site_f" -o "$site_h.carol.json" &&
		mkdir "$site_h.out" &&
		as alice ceremony finish "$site_h.request.json" "$site_h.alice.json" "$site_h.carol.json" -o "$site_h.out"
}
