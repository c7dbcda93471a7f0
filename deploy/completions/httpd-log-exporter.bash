_httpd__log__exporter() {
    local i cur prev opts cmd
    COMPREPLY=()
    if [[ "${BASH_VERSINFO[0]}" -ge 4 ]]; then
        cur="$2"
    else
        cur="${COMP_WORDS[COMP_CWORD]}"
    fi
    prev="$3"
    cmd=""
    opts=""

    for i in "${COMP_WORDS[@]:0:COMP_CWORD}"
    do
        case "${cmd},${i}" in
            ",$1")
                cmd="httpd__log__exporter"
                ;;
            httpd__log__exporter,completions)
                cmd="httpd__log__exporter__subcmd__completions"
                ;;
            httpd__log__exporter,explain)
                cmd="httpd__log__exporter__subcmd__explain"
                ;;
            httpd__log__exporter,healthcheck)
                cmd="httpd__log__exporter__subcmd__healthcheck"
                ;;
            httpd__log__exporter,man)
                cmd="httpd__log__exporter__subcmd__man"
                ;;
            *)
                ;;
        esac
    done

    case "${cmd}" in
        httpd__log__exporter)
            opts="-h -V --web.telemetry-path --web.config.file --web.systemd-socket --web.max-requests --web.openmetrics-created --web.disable-exporter-metrics --scrape.timeout --scrape.timeout-offset --log.level --log.format --check --access-log --config.file --access-log.format --access-log.regex --access-log.container --access-log.start --state.file --metrics.buckets --metrics.native-histograms --metrics.exemplar --metrics.max-series --metrics.label --metrics.route --metrics.counter --metrics.histogram --access-log.drop --metrics.file --web.listen-address --once --help --version explain healthcheck completions man"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 1 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                --web.telemetry-path)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --web.config.file)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --web.max-requests)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --scrape.timeout)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --scrape.timeout-offset)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --log.level)
                    COMPREPLY=($(compgen -W "error warn info debug" -- "${cur}"))
                    return 0
                    ;;
                --log.format)
                    COMPREPLY=($(compgen -W "logfmt json" -- "${cur}"))
                    return 0
                    ;;
                --access-log)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --config.file)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --access-log.format)
                    COMPREPLY=($(compgen -W "combined common combined_time combined_us combinedio vhost_combined vhost_common lighttpd ingress_nginx traefik traefik_json caddy haproxy envoy istio istio_json json ecs cloudfront w3c w3c_seconds" -- "${cur}"))
                    return 0
                    ;;
                --access-log.regex)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --access-log.container)
                    COMPREPLY=($(compgen -W "stdout stderr all" -- "${cur}"))
                    return 0
                    ;;
                --access-log.start)
                    COMPREPLY=($(compgen -W "end beginning" -- "${cur}"))
                    return 0
                    ;;
                --state.file)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --metrics.buckets)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --metrics.native-histograms)
                    COMPREPLY=($(compgen -W "true false" -- "${cur}"))
                    return 0
                    ;;
                --metrics.exemplar)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --metrics.max-series)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --metrics.label)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --metrics.route)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --metrics.counter)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --metrics.histogram)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --access-log.drop)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --metrics.file)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --web.listen-address)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        httpd__log__exporter__subcmd__completions)
            opts="-h --web.config.file --log.level --log.format --access-log.format --access-log.regex --access-log.container --metrics.label --metrics.route --metrics.counter --metrics.histogram --access-log.drop --metrics.file --web.listen-address --help bash fish zsh"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 2 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                --web.config.file)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --log.level)
                    COMPREPLY=($(compgen -W "error warn info debug" -- "${cur}"))
                    return 0
                    ;;
                --log.format)
                    COMPREPLY=($(compgen -W "logfmt json" -- "${cur}"))
                    return 0
                    ;;
                --access-log.format)
                    COMPREPLY=($(compgen -W "combined common combined_time combined_us combinedio vhost_combined vhost_common lighttpd ingress_nginx traefik traefik_json caddy haproxy envoy istio istio_json json ecs cloudfront w3c w3c_seconds" -- "${cur}"))
                    return 0
                    ;;
                --access-log.regex)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --access-log.container)
                    COMPREPLY=($(compgen -W "stdout stderr all" -- "${cur}"))
                    return 0
                    ;;
                --metrics.label)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --metrics.route)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --metrics.counter)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --metrics.histogram)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --access-log.drop)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --metrics.file)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --web.listen-address)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        httpd__log__exporter__subcmd__explain)
            opts="-h --web.config.file --log.level --log.format --access-log.format --access-log.regex --access-log.container --metrics.label --metrics.route --metrics.counter --metrics.histogram --access-log.drop --metrics.file --web.listen-address --help"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 2 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                --web.config.file)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --log.level)
                    COMPREPLY=($(compgen -W "error warn info debug" -- "${cur}"))
                    return 0
                    ;;
                --log.format)
                    COMPREPLY=($(compgen -W "logfmt json" -- "${cur}"))
                    return 0
                    ;;
                --access-log.format)
                    COMPREPLY=($(compgen -W "combined common combined_time combined_us combinedio vhost_combined vhost_common lighttpd ingress_nginx traefik traefik_json caddy haproxy envoy istio istio_json json ecs cloudfront w3c w3c_seconds" -- "${cur}"))
                    return 0
                    ;;
                --access-log.regex)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --access-log.container)
                    COMPREPLY=($(compgen -W "stdout stderr all" -- "${cur}"))
                    return 0
                    ;;
                --metrics.label)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --metrics.route)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --metrics.counter)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --metrics.histogram)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --access-log.drop)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --metrics.file)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --web.listen-address)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        httpd__log__exporter__subcmd__healthcheck)
            opts="-h --web.config.file --log.level --log.format --access-log.format --access-log.regex --access-log.container --metrics.label --metrics.route --metrics.counter --metrics.histogram --access-log.drop --metrics.file --web.listen-address --help"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 2 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                --web.config.file)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --log.level)
                    COMPREPLY=($(compgen -W "error warn info debug" -- "${cur}"))
                    return 0
                    ;;
                --log.format)
                    COMPREPLY=($(compgen -W "logfmt json" -- "${cur}"))
                    return 0
                    ;;
                --access-log.format)
                    COMPREPLY=($(compgen -W "combined common combined_time combined_us combinedio vhost_combined vhost_common lighttpd ingress_nginx traefik traefik_json caddy haproxy envoy istio istio_json json ecs cloudfront w3c w3c_seconds" -- "${cur}"))
                    return 0
                    ;;
                --access-log.regex)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --access-log.container)
                    COMPREPLY=($(compgen -W "stdout stderr all" -- "${cur}"))
                    return 0
                    ;;
                --metrics.label)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --metrics.route)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --metrics.counter)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --metrics.histogram)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --access-log.drop)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --metrics.file)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --web.listen-address)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        httpd__log__exporter__subcmd__man)
            opts="-h --web.config.file --log.level --log.format --access-log.format --access-log.regex --access-log.container --metrics.label --metrics.route --metrics.counter --metrics.histogram --access-log.drop --metrics.file --web.listen-address --help explain healthcheck completions man"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 2 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                --web.config.file)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --log.level)
                    COMPREPLY=($(compgen -W "error warn info debug" -- "${cur}"))
                    return 0
                    ;;
                --log.format)
                    COMPREPLY=($(compgen -W "logfmt json" -- "${cur}"))
                    return 0
                    ;;
                --access-log.format)
                    COMPREPLY=($(compgen -W "combined common combined_time combined_us combinedio vhost_combined vhost_common lighttpd ingress_nginx traefik traefik_json caddy haproxy envoy istio istio_json json ecs cloudfront w3c w3c_seconds" -- "${cur}"))
                    return 0
                    ;;
                --access-log.regex)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --access-log.container)
                    COMPREPLY=($(compgen -W "stdout stderr all" -- "${cur}"))
                    return 0
                    ;;
                --metrics.label)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --metrics.route)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --metrics.counter)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --metrics.histogram)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --access-log.drop)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --metrics.file)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --web.listen-address)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
    esac
}

if [[ "${BASH_VERSINFO[0]}" -eq 4 && "${BASH_VERSINFO[1]}" -ge 4 || "${BASH_VERSINFO[0]}" -gt 4 ]]; then
    complete -F _httpd__log__exporter -o nosort -o bashdefault -o default httpd-log-exporter
else
    complete -F _httpd__log__exporter -o bashdefault -o default httpd-log-exporter
fi
