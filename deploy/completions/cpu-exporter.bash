_cpu__exporter() {
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
                cmd="cpu__exporter"
                ;;
            cpu__exporter,completions)
                cmd="cpu__exporter__subcmd__completions"
                ;;
            cpu__exporter,healthcheck)
                cmd="cpu__exporter__subcmd__healthcheck"
                ;;
            cpu__exporter,man)
                cmd="cpu__exporter__subcmd__man"
                ;;
            *)
                ;;
        esac
    done

    case "${cmd}" in
        cpu__exporter)
            opts="-h -V --web.telemetry-path --web.config.file --web.systemd-socket --web.max-requests --web.openmetrics-created --web.disable-exporter-metrics --scrape.timeout --scrape.timeout-offset --log.level --log.format --once --check --metrics.names --path.procfs --path.sysfs --path.cgroup --collector.cgroups.depth --collector.cgroups.max --collector.processes.max --collector.cpu.per-cpu --no-collector.cpu.per-cpu --collector.cpu.guest --no-collector.cpu.guest --collector.cpu.info --no-collector.cpu.info --collector.stat.softirq --no-collector.stat.softirq --collector.rapl.enable-zone-label --no-collector.rapl.enable-zone-label --path.rootfs --path.udev.data --runtime.gomaxprocs --collector.cpu.info.flags-include --collector.cpu.info.bugs-include --collector.interrupts.name-include --collector.interrupts.name-exclude --web.listen-address --collector.cpu --no-collector.cpu --collector.loadavg --no-collector.loadavg --collector.stat --no-collector.stat --collector.pressure --no-collector.pressure --collector.cpufreq --no-collector.cpufreq --collector.topology --no-collector.topology --collector.info --no-collector.info --collector.throttle --no-collector.throttle --collector.schedstat --no-collector.schedstat --collector.rapl --no-collector.rapl --collector.softirqs --no-collector.softirqs --collector.interrupts --no-collector.interrupts --collector.cpuidle --no-collector.cpuidle --collector.time --no-collector.time --collector.uname --no-collector.uname --collector.cgroups --no-collector.cgroups --collector.processes --no-collector.processes --collector.cgroup --no-collector.cgroup --collector.disable-defaults --help --version healthcheck completions man"
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
                --metrics.names)
                    COMPREPLY=($(compgen -W "own node" -- "${cur}"))
                    return 0
                    ;;
                --path.procfs)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --path.sysfs)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --path.cgroup)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --collector.cgroups.depth)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --collector.cgroups.max)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --collector.processes.max)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --collector.cpu.per-cpu)
                    COMPREPLY=($(compgen -W "true false" -- "${cur}"))
                    return 0
                    ;;
                --collector.cpu.guest)
                    COMPREPLY=($(compgen -W "true false" -- "${cur}"))
                    return 0
                    ;;
                --collector.cpu.info)
                    COMPREPLY=($(compgen -W "true false" -- "${cur}"))
                    return 0
                    ;;
                --collector.stat.softirq)
                    COMPREPLY=($(compgen -W "true false" -- "${cur}"))
                    return 0
                    ;;
                --collector.rapl.enable-zone-label)
                    COMPREPLY=($(compgen -W "true false" -- "${cur}"))
                    return 0
                    ;;
                --path.rootfs)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --path.udev.data)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --runtime.gomaxprocs)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --collector.cpu.info.flags-include)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --collector.cpu.info.bugs-include)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --collector.interrupts.name-include)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --collector.interrupts.name-exclude)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --web.listen-address)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --collector.cpu)
                    COMPREPLY=($(compgen -W "true false" -- "${cur}"))
                    return 0
                    ;;
                --collector.loadavg)
                    COMPREPLY=($(compgen -W "true false" -- "${cur}"))
                    return 0
                    ;;
                --collector.stat)
                    COMPREPLY=($(compgen -W "true false" -- "${cur}"))
                    return 0
                    ;;
                --collector.pressure)
                    COMPREPLY=($(compgen -W "true false" -- "${cur}"))
                    return 0
                    ;;
                --collector.cpufreq)
                    COMPREPLY=($(compgen -W "true false" -- "${cur}"))
                    return 0
                    ;;
                --collector.topology)
                    COMPREPLY=($(compgen -W "true false" -- "${cur}"))
                    return 0
                    ;;
                --collector.info)
                    COMPREPLY=($(compgen -W "true false" -- "${cur}"))
                    return 0
                    ;;
                --collector.throttle)
                    COMPREPLY=($(compgen -W "true false" -- "${cur}"))
                    return 0
                    ;;
                --collector.schedstat)
                    COMPREPLY=($(compgen -W "true false" -- "${cur}"))
                    return 0
                    ;;
                --collector.rapl)
                    COMPREPLY=($(compgen -W "true false" -- "${cur}"))
                    return 0
                    ;;
                --collector.softirqs)
                    COMPREPLY=($(compgen -W "true false" -- "${cur}"))
                    return 0
                    ;;
                --collector.interrupts)
                    COMPREPLY=($(compgen -W "true false" -- "${cur}"))
                    return 0
                    ;;
                --collector.cpuidle)
                    COMPREPLY=($(compgen -W "true false" -- "${cur}"))
                    return 0
                    ;;
                --collector.time)
                    COMPREPLY=($(compgen -W "true false" -- "${cur}"))
                    return 0
                    ;;
                --collector.uname)
                    COMPREPLY=($(compgen -W "true false" -- "${cur}"))
                    return 0
                    ;;
                --collector.cgroups)
                    COMPREPLY=($(compgen -W "true false" -- "${cur}"))
                    return 0
                    ;;
                --collector.processes)
                    COMPREPLY=($(compgen -W "true false" -- "${cur}"))
                    return 0
                    ;;
                --collector.cgroup)
                    COMPREPLY=($(compgen -W "true false" -- "${cur}"))
                    return 0
                    ;;
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        cpu__exporter__subcmd__completions)
            opts="-h --web.config.file --log.level --log.format --web.listen-address --help bash fish zsh"
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
        cpu__exporter__subcmd__healthcheck)
            opts="-h --web.config.file --log.level --log.format --web.listen-address --help"
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
        cpu__exporter__subcmd__man)
            opts="-h --web.config.file --log.level --log.format --web.listen-address --help healthcheck completions man"
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
    complete -F _cpu__exporter -o nosort -o bashdefault -o default cpu-exporter
else
    complete -F _cpu__exporter -o bashdefault -o default cpu-exporter
fi
