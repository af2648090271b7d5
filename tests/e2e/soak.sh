# Random kills for end-to-end tests, read after lib.sh: how many, and when, from a seed that repeats them.
#
#	SOAK_ROUNDS	how many kills (50); `make soak` asks for 1000
#	SOAK_SEED	of the plan, printed at the start; the same seed makes the same plan
#	soak_plan SECONDS KIND...	the plan, a line a round: a pause below SECONDS and one of the kinds
#	soak_say TEXT...	a line of TAP comment

soak_say() { echo "# $*" >&3; }

soak_rounds=${SOAK_ROUNDS:-50}
soak_seed=${SOAK_SEED:-$(od -An -N3 -tu4 /dev/urandom | tr -d ' ')}
soak_say "SOAK_ROUNDS=$soak_rounds SOAK_SEED=$soak_seed"

soak_plan() {
	soak_most=$1
	shift
	awk -v seed="$soak_seed" -v rounds="$soak_rounds" -v most="$soak_most" -v kinds="$*" 'BEGIN {
		srand(seed)
		n = split(kinds, kind, " ")
		while (rounds-- > 0)
			printf "%.3f %s\n", rand() * most, kind[1 + int(rand() * n)]
	}'
}
