# bash completion for meshanics: the program itself says what can follow.
_meshanics()
{
	local IFS=$'\n'
	COMPREPLY=($("$1" help --complete -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null | cut -f1))
}
complete -o bashdefault -o default -F _meshanics meshanics
