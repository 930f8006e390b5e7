# ocrfleet completion for bash; for zsh it is loaded through bashcompinit.
_ocrfleet() {
    local current="${COMP_WORDS[COMP_CWORD]}" path="" word words=""
    COMPREPLY=()
    for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
        case "$path/$word" in
            /init) path="/init" ;;
            /recipes) path="/recipes" ;;
            /check) path="/check" ;;
            /doctor) path="/doctor" ;;
            /run) path="/run" ;;
            /render) path="/render" ;;
            /diff) path="/diff" ;;
            /submit) path="/submit" ;;
            /list) path="/list" ;;
            /top) path="/top" ;;
            /status) path="/status" ;;
            /events) path="/events" ;;
            /watch) path="/watch" ;;
            /logs) path="/logs" ;;
            /stop) path="/stop" ;;
            /resume) path="/resume" ;;
            /delete) path="/delete" ;;
            /prune) path="/prune" ;;
            /shell) path="/shell" ;;
            /predict) path="/predict" ;;
            /data) path="/data" ;;
            /data/check) path="/data/check" ;;
            /data/split) path="/data/split" ;;
            /data/crop) path="/data/crop" ;;
            /models) path="/models" ;;
            /models/list) path="/models/list" ;;
            /models/show) path="/models/show" ;;
            /models/pull) path="/models/pull" ;;
            /models/promote) path="/models/promote" ;;
            /version) path="/version" ;;
            /completion) path="/completion" ;;
        esac
    done
    case "$path" in
        "") words="init recipes check doctor run render diff submit list top status events watch logs stop resume delete prune shell predict data models version completion --help --version" ;;
        "/init") words="--help --debug --recipe --data --output --filename" ;;
        "/recipes") words="--help --debug --output" ;;
        "/check") words="--help --debug --set --rehearse --namespace --timeout --context --kubeconfig --cluster --user --server --as --as-group --request-timeout --cache --output" ;;
        "/doctor") words="--help --debug --output" ;;
        "/run") words="--help --debug --set --nodes --devices-per-node --device --workdir --stage --metrics-port" ;;
        "/render") words="--help --debug --set --namespace --out --output" ;;
        "/diff") words="--help --debug --set --namespace --timeout --context --kubeconfig --cluster --user --server --as --as-group --request-timeout --output" ;;
        "/submit") words="--help --debug --set --dry-run --watch --namespace --timeout --context --kubeconfig --cluster --user --server --as --as-group --request-timeout" ;;
        "/list") words="--help --debug --all-namespaces --output --namespace --timeout --context --kubeconfig --cluster --user --server --as --as-group --request-timeout" ;;
        "/top") words="--help --debug --all-namespaces --output --namespace --timeout --context --kubeconfig --cluster --user --server --as --as-group --request-timeout" ;;
        "/status") words="--help --debug --output --namespace --timeout --context --kubeconfig --cluster --user --server --as --as-group --request-timeout" ;;
        "/events") words="--help --debug --output --namespace --timeout --context --kubeconfig --cluster --user --server --as --as-group --request-timeout" ;;
        "/watch") words="--help --debug --namespace --timeout --context --kubeconfig --cluster --user --server --as --as-group --request-timeout" ;;
        "/logs") words="--help --debug --node --rank --attempt --follow --tail --previous --from --namespace --timeout --context --kubeconfig --cluster --user --server --as --as-group --request-timeout" ;;
        "/stop") words="--help --debug --wait --namespace --timeout --context --kubeconfig --cluster --user --server --as --as-group --request-timeout" ;;
        "/resume") words="--help --debug --wait --namespace --timeout --context --kubeconfig --cluster --user --server --as --as-group --request-timeout" ;;
        "/delete") words="--help --debug --yes --wait --namespace --timeout --context --kubeconfig --cluster --user --server --as --as-group --request-timeout" ;;
        "/prune") words="--help --debug --done --keep --dry-run --namespace --timeout --context --kubeconfig --cluster --user --server --as --as-group --request-timeout" ;;
        "/shell") words="--help --debug --node --namespace --timeout --context --kubeconfig --cluster --user --server --as --as-group --request-timeout" ;;
        "/predict") words="--help --debug --det --rec --out --font --device --output --cache" ;;
        "/data") words="check split crop --help" ;;
        "/data/check") words="--help --debug --task --cache --dictionary --part --ratio --seed --max-refused --max-pixels --output" ;;
        "/data/split") words="--help --debug --task --cache --ratio --seed --out --output" ;;
        "/data/crop") words="--help --debug --cache --out --output" ;;
        "/models") words="list show pull promote --help" ;;
        "/models/list") words="--help --debug --output" ;;
        "/models/show") words="--help --debug --record --output" ;;
        "/models/pull") words="--help --debug --only" ;;
        "/models/promote") words="--help --debug --single-writer" ;;
        "/version") words="--help --debug --output" ;;
        "/completion") words="bash zsh fish --help --debug" ;;
    esac
    # Names of runs come from the cluster, which has two seconds to answer.
    case "$path" in
        "/diff"|"/status"|"/events"|"/watch"|"/logs"|"/stop"|"/resume"|"/delete"|"/prune"|"/shell")
            [[ "$current" == -* ]] || words="$(ocrfleet __complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)" ;;
    esac
    COMPREPLY=($(compgen -W "$words" -- "$current"))
    # Anything may also be a file: a job file, an image, a folder.
    [ ${#COMPREPLY[@]} -gt 0 ] || COMPREPLY=($(compgen -f -- "$current"))
}
complete -o filenames -F _ocrfleet ocrfleet
