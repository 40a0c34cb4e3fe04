#!/bin/sh
# An agent's work as a script: the assignment comes on standard input, the output goes to standard output.
#
#   baton agents exec --file examples/shell/agent.json -- examples/shell/top-words.sh
#   baton submit 'Which words come most often?' --input '"to be or not to be"' --agents 'Top Words' --wait
#
# It can be tried without Baton: echo '{"input":"to be or not to be"}' | examples/shell/top-words.sh
set -eu

assignment=$(cat)
if ! text=$(printf '%s' "$assignment" | jq -er '.input | strings'); then
  echo 'the input is no text' >&2
  exit 65 # CONTRACT; see `baton agents exec --help` for the others
fi
echo "counting the words of ${BATON_TASK_ID:-no task}" >&2 # goes to the log
printf '%s' "$text" | jq -Rsc '
  ascii_downcase | [scan("\\p{L}+")] | group_by(.) | map({word: .[0], count: length})
  | sort_by(-.count, .word) | {words: .[:5]}'
