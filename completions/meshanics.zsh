#compdef meshanics
# zsh completion for meshanics: the program itself says what can follow.
_meshanics()
{
	local -a found
	found=(${${(f)"$("$words[1]" help --complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)"}/$'\t'/:})
	if (( $#found )); then _describe meshanics found; else _files; fi
}
if [ "$funcstack[1]" = _meshanics ]; then _meshanics "$@"; else compdef _meshanics meshanics; fi
