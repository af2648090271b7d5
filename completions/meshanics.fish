# fish completion for meshanics: the program itself says what can follow.
function __meshanics_complete
	set -l words (commandline -opc) (commandline -ct)
	$words[1] help --complete -- $words[2..-1] 2>/dev/null
end
complete -c meshanics -a '(__meshanics_complete)'
