# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_cpu_exporter_global_optspecs
    string join \n path.procfs= path.sysfs= path.cgroup= web.telemetry-path= web.config.file= web.systemd-socket web.max-requests= web.disable-exporter-metrics scrape.timeout= scrape.timeout-offset= log.level= log.format= once check web.listen-address= collector.cpu= no-collector.cpu collector.loadavg= no-collector.loadavg collector.stat= no-collector.stat collector.pressure= no-collector.pressure collector.cpufreq= no-collector.cpufreq collector.topology= no-collector.topology collector.info= no-collector.info collector.throttle= no-collector.throttle collector.cgroup= no-collector.cgroup collector.disable-defaults h/help V/version
end

function __fish_cpu_exporter_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_cpu_exporter_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_cpu_exporter_using_subcommand
    set -l cmd (__fish_cpu_exporter_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c cpu-exporter -n "__fish_cpu_exporter_needs_command" -l path.procfs -d 'Mount point of procfs' -r -F
complete -c cpu-exporter -n "__fish_cpu_exporter_needs_command" -l path.sysfs -d 'Mount point of sysfs' -r -F
complete -c cpu-exporter -n "__fish_cpu_exporter_needs_command" -l path.cgroup -d 'Directory of the cgroup (v1 or v2) to report; enables the collector cgroup' -r -F
complete -c cpu-exporter -n "__fish_cpu_exporter_needs_command" -l web.telemetry-path -d 'Path under which metrics are served' -r
complete -c cpu-exporter -n "__fish_cpu_exporter_needs_command" -l web.config.file -d 'File with TLS, users and headers, as all Prometheus exporters read it' -r -F
complete -c cpu-exporter -n "__fish_cpu_exporter_needs_command" -l web.max-requests -d 'How many scrapes are answered at once; 0 is no limit' -r
complete -c cpu-exporter -n "__fish_cpu_exporter_needs_command" -l scrape.timeout -d 'How long a read of a source may take' -r
complete -c cpu-exporter -n "__fish_cpu_exporter_needs_command" -l scrape.timeout-offset -d 'How much earlier than Prometheus gives up an answer is sent' -r
complete -c cpu-exporter -n "__fish_cpu_exporter_needs_command" -l log.level -d 'Least severe messages to log: error, warn, info, debug' -r
complete -c cpu-exporter -n "__fish_cpu_exporter_needs_command" -l log.format -d 'Format of log messages' -r -f -a "logfmt\t'`time=… level=INFO msg="…" key=value`'
json\t'`{"time":"…","level":"INFO","msg":"…","key":"value"}`'"
complete -c cpu-exporter -n "__fish_cpu_exporter_needs_command" -l web.listen-address -d 'Address to listen on, again for each further one: host:port, :port, [v6]:port, unix:/path' -r
complete -c cpu-exporter -n "__fish_cpu_exporter_needs_command" -l collector.cpu -d 'Turn the collector cpu on, or off with --no-collector.cpu [default: on]' -r -f -a "true\t''
false\t''"
complete -c cpu-exporter -n "__fish_cpu_exporter_needs_command" -l collector.loadavg -d 'Turn the collector loadavg on, or off with --no-collector.loadavg [default: on]' -r -f -a "true\t''
false\t''"
complete -c cpu-exporter -n "__fish_cpu_exporter_needs_command" -l collector.stat -d 'Turn the collector stat on, or off with --no-collector.stat [default: on]' -r -f -a "true\t''
false\t''"
complete -c cpu-exporter -n "__fish_cpu_exporter_needs_command" -l collector.pressure -d 'Turn the collector pressure on, or off with --no-collector.pressure [default: on]' -r -f -a "true\t''
false\t''"
complete -c cpu-exporter -n "__fish_cpu_exporter_needs_command" -l collector.cpufreq -d 'Turn the collector cpufreq on, or off with --no-collector.cpufreq [default: on]' -r -f -a "true\t''
false\t''"
complete -c cpu-exporter -n "__fish_cpu_exporter_needs_command" -l collector.topology -d 'Turn the collector topology on, or off with --no-collector.topology [default: on]' -r -f -a "true\t''
false\t''"
complete -c cpu-exporter -n "__fish_cpu_exporter_needs_command" -l collector.info -d 'Turn the collector info on, or off with --no-collector.info [default: on]' -r -f -a "true\t''
false\t''"
complete -c cpu-exporter -n "__fish_cpu_exporter_needs_command" -l collector.throttle -d 'Turn the collector throttle on, or off with --no-collector.throttle [default: on]' -r -f -a "true\t''
false\t''"
complete -c cpu-exporter -n "__fish_cpu_exporter_needs_command" -l collector.cgroup -d 'Turn the collector cgroup on, or off with --no-collector.cgroup [default: off]' -r -f -a "true\t''
false\t''"
complete -c cpu-exporter -n "__fish_cpu_exporter_needs_command" -l web.systemd-socket -d 'Take the listening sockets from systemd, instead of the addresses'
complete -c cpu-exporter -n "__fish_cpu_exporter_needs_command" -l web.disable-exporter-metrics -d 'Leave out the metrics about the exporter\'s own process (process_*)'
complete -c cpu-exporter -n "__fish_cpu_exporter_needs_command" -l once -d 'Collect once, print the metrics on standard output and end'
complete -c cpu-exporter -n "__fish_cpu_exporter_needs_command" -l check -d 'Validate the flags and every file they name, open no connection, and end'
complete -c cpu-exporter -n "__fish_cpu_exporter_needs_command" -l no-collector.cpu
complete -c cpu-exporter -n "__fish_cpu_exporter_needs_command" -l no-collector.loadavg
complete -c cpu-exporter -n "__fish_cpu_exporter_needs_command" -l no-collector.stat
complete -c cpu-exporter -n "__fish_cpu_exporter_needs_command" -l no-collector.pressure
complete -c cpu-exporter -n "__fish_cpu_exporter_needs_command" -l no-collector.cpufreq
complete -c cpu-exporter -n "__fish_cpu_exporter_needs_command" -l no-collector.topology
complete -c cpu-exporter -n "__fish_cpu_exporter_needs_command" -l no-collector.info
complete -c cpu-exporter -n "__fish_cpu_exporter_needs_command" -l no-collector.throttle
complete -c cpu-exporter -n "__fish_cpu_exporter_needs_command" -l no-collector.cgroup
complete -c cpu-exporter -n "__fish_cpu_exporter_needs_command" -l collector.disable-defaults -d 'Turn off every collector that is not named by a flag of its own'
complete -c cpu-exporter -n "__fish_cpu_exporter_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cpu-exporter -n "__fish_cpu_exporter_needs_command" -s V -l version -d 'Print version'
complete -c cpu-exporter -n "__fish_cpu_exporter_needs_command" -f -a "healthcheck" -d 'Ask the running exporter at its listen address whether it serves; for containers'
complete -c cpu-exporter -n "__fish_cpu_exporter_using_subcommand healthcheck" -l web.config.file -d 'File with TLS, users and headers, as all Prometheus exporters read it' -r -F
complete -c cpu-exporter -n "__fish_cpu_exporter_using_subcommand healthcheck" -l log.level -d 'Least severe messages to log: error, warn, info, debug' -r
complete -c cpu-exporter -n "__fish_cpu_exporter_using_subcommand healthcheck" -l log.format -d 'Format of log messages' -r -f -a "logfmt\t'`time=… level=INFO msg="…" key=value`'
json\t'`{"time":"…","level":"INFO","msg":"…","key":"value"}`'"
complete -c cpu-exporter -n "__fish_cpu_exporter_using_subcommand healthcheck" -l web.listen-address -d 'Address to listen on, again for each further one: host:port, :port, [v6]:port, unix:/path' -r
complete -c cpu-exporter -n "__fish_cpu_exporter_using_subcommand healthcheck" -s h -l help -d 'Print help (see more with \'--help\')'
