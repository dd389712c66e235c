"""`kexp completion SHELL`: prints the completion script for bash, zsh or fish.

At each TAB the script calls `kexp completion --line LINE`, which reads package metadata and source files only: it
composes no config and imports no library. Hydra's own `--shell-completion` takes five times as long and completes
neither commands nor runs.
"""

from __future__ import annotations

from collections.abc import Sequence

from kexp.commands.support.options import Parser

__all__ = ["SHELLS", "main"]

_BASH = r"""# kexp completion for bash: eval "$(kexp completion bash)"
_kexp_complete() {
    local line="${COMP_LINE:0:COMP_POINT}" program=("$1") word prefix
    if [[ "${1##*/}" == python* ]]; then
        [[ "${COMP_WORDS[1]}" == -m && "${COMP_WORDS[2]}" == kexp ]] || return 0
        program=("$1" -m kexp)
    fi
    word="${line##*[[:space:]]}"
    # Bash cuts words at = and :, and replaces only what follows the last of them.
    [[ "$word" == *[=:]* ]] && prefix="${word%"${word##*[=:]}"}"
    local IFS=$'\n'
    COMPREPLY=($("${program[@]}" completion --line "$line" 2>/dev/null))
    COMPREPLY=("${COMPREPLY[@]#"$prefix"}")
    [[ ${#COMPREPLY[@]} -eq 1 && "${COMPREPLY[0]}" == *[=./] ]] && compopt -o nospace 2>/dev/null
    return 0
}
complete -o bashdefault -o default -F _kexp_complete kexp python python3
"""

_ZSH = r"""# kexp completion for zsh: eval "$(kexp completion zsh)"
(( $+functions[compdef] )) || { autoload -Uz compinit && compinit }
_kexp_complete() {
    local -a program found open
    program=("$words[1]")
    if [[ "${words[1]:t}" == python* ]]; then
        if [[ "$words[2]" != -m || "$words[3]" != kexp ]]; then
            autoload -Uz _python 2>/dev/null && _python "$@"
            return
        fi
        program=("$words[1]" -m kexp)
    fi
    found=("${(@f)$("${program[@]}" completion --line "${(j: :)words[1,CURRENT-1]} ${PREFIX}" 2>/dev/null)}")
    open=("${(@M)found:#*[=./]}")
    found=("${(@)found:#*[=./]}")
    found=("${(@)found:#}")
    (( $#open )) && compadd -Q -S '' -- "${open[@]}"
    (( $#found )) && compadd -Q -- "${found[@]}"
}
compdef _kexp_complete kexp python python3
"""

_FISH = r"""# kexp completion for fish: kexp completion fish | source
function __kexp_complete
    set -l program (commandline -opc)[1]
    string match -q '*python*' -- $program; and set program $program -m kexp
    $program completion --line (commandline -cp | string collect) 2>/dev/null
end
function __kexp_as_module
    set -l words (commandline -opc)
    test (count $words) -ge 3; and test "$words[2]" = -m; and test "$words[3]" = kexp
end
complete -c kexp -f -a '(__kexp_complete)'
for python in python python3
    complete -c $python -n __kexp_as_module -f -a '(__kexp_complete)'
end
"""

SHELLS = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}


def main(arguments: Sequence[str]) -> int:
    """Prints a shell's script, or the completions of a line; returns the exit code."""
    parser = Parser(
        prog="kexp completion",
        description="Print the completion script for a shell. In ~/.bashrc or ~/.zshrc: "
        'eval "$(kexp completion bash)"; in config.fish: kexp completion fish | source',
    )
    parser.add_argument("shell", nargs="?", choices=sorted(SHELLS), metavar="SHELL", help="bash, zsh or fish")
    parser.add_argument("--line", help="print the completions of this command line, one per line")
    args = parser.parse_args(arguments)
    if args.line is not None:
        from kexp.commands.support.completions import candidates

        print("\n".join(candidates(args.line)))
    elif args.shell is None:
        parser.error(f"choose a shell: {', '.join(sorted(SHELLS))}")
    else:
        print(SHELLS[args.shell], end="")
    return 0
