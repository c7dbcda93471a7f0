# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_cpu_exporter_global_optspecs
    string join \n web.telemetry-path= web.config.file= web.systemd-socket web.max-requests= web.openmetrics-created web.disable-exporter-metrics scrape.timeout= scrape.timeout-offset= log.level= log.format= once check metrics.names= path.procfs= path.sysfs= path.cgroup= collector.cgroups.depth= collector.cgroups.max= collector.processes.max= collector.cpu.per-cpu= no-collector.cpu.per-cpu collector.cpu.guest= no-collector.cpu.guest collector.cpu.info= no-collector.cpu.info collector.stat.softirq= no-collector.stat.softirq collector.rapl.enable-zone-label= no-collector.rapl.enable-zone-label path.rootfs= path.udev.data= runtime.gomaxprocs= collector.cpu.info.flags-include= collector.cpu.info.bugs-include= collector.interrupts.name-include= collector.interrupts.name-exclude= web.listen-address= collector.cpu= no-collector.cpu collector.loadavg= no-collector.loadavg collector.stat= no-collector.stat collector.pressure= no-collector.pressure collector.cpufreq= no-collector.cpufreq collector.topology= no-collector.topology collector.info= no-collector.info collector.throttle= no-collector.throttle collector.schedstat= no-collector.schedstat collector.rapl= no-collector.rapl collector.softirqs= no-collector.softirqs collector.interrupts= no-collector.interrupts collector.cpuidle= no-collector.cpuidle collector.time= no-collector.time collector.uname= no-collector.uname collector.cgroups= no-collector.cgroups collector.processes= no-collector.processes collector.cgroup= no-collector.cgroup collector.disable-defaults h/help V/version
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

complete -c cpu-exporter -n "__fish_cpu_exporter_needs_command" -l web.telemetry-path -d 'Path of the metrics endpoint' -r
complete -c cpu-exporter -n "__fish_cpu_exporter_needs_command" -l web.config.file -d 'Web configuration file with TLS, basic auth and headers, in the format of all Prometheus exporters' -r -F
complete -c cpu-exporter -n "__fish_cpu_exporter_needs_command" -l web.max-requests -d 'Maximum number of concurrent scrapes; 0 means no limit' -r
complete -c cpu-exporter -n "__fish_cpu_exporter_needs_command" -l scrape.timeout -d 'Maximum duration of a read of a source, with its unit: 500ms, 10s, 1m' -r
complete -c cpu-exporter -n "__fish_cpu_exporter_needs_command" -l scrape.timeout-offset -d 'Safety margin subtracted from Prometheus\'s scrape timeout, with its unit: 500ms, 1s; 0 means none' -r
complete -c cpu-exporter -n "__fish_cpu_exporter_needs_command" -l log.level -d 'Lowest severity to log' -r -f -a "error\t'Failures that stop the process or a part of it'
warn\t'Failures that the process survives'
info\t'Changes of the state'
debug\t'Details for a diagnosis'"
complete -c cpu-exporter -n "__fish_cpu_exporter_needs_command" -l log.format -d 'Format of log messages' -r -f -a "logfmt\t'`time=… level=INFO msg="…" key=value`'
json\t'`{"time":"…","level":"INFO","msg":"…","key":"value"}`'"
complete -c cpu-exporter -n "__fish_cpu_exporter_needs_command" -l metrics.names -d 'Names of the metrics' -r -f -a "own\t'Names of this exporter, with CPU time summed over CPUs'
node\t'Names, labels and defaults of node_exporter'"
complete -c cpu-exporter -n "__fish_cpu_exporter_needs_command" -l path.procfs -d 'Mount point of procfs' -r -F
complete -c cpu-exporter -n "__fish_cpu_exporter_needs_command" -l path.sysfs -d 'Mount point of sysfs' -r -F
complete -c cpu-exporter -n "__fish_cpu_exporter_needs_command" -l path.cgroup -d 'Directory of the cgroup (v1 or v2) to report; enables the collector cgroup' -r -F
complete -c cpu-exporter -n "__fish_cpu_exporter_needs_command" -l collector.cgroups.depth -d 'Levels of cgroups below the root that the collector cgroups reads' -r
complete -c cpu-exporter -n "__fish_cpu_exporter_needs_command" -l collector.cgroups.max -d 'Number of cgroups that the collector cgroups exports; the others are summed as _other' -r
complete -c cpu-exporter -n "__fish_cpu_exporter_needs_command" -l collector.processes.max -d 'Number of process names that the collector processes exports; the others are summed as _other' -r
complete -c cpu-exporter -n "__fish_cpu_exporter_needs_command" -l collector.cpu.per-cpu -d 'Export CPU time of each CPU, and details of each CPU even if there are more than 64' -r -f -a "true\t''
false\t''"
complete -c cpu-exporter -n "__fish_cpu_exporter_needs_command" -l collector.cpu.guest -d 'Export the CPU time spent in guests, or disable it with --no-collector.cpu.guest [default: enabled]' -r -f -a "true\t''
false\t''"
complete -c cpu-exporter -n "__fish_cpu_exporter_needs_command" -l collector.cpu.info -d 'Same as --collector.info; by default off with --metrics.names=node' -r -f -a "true\t''
false\t''"
complete -c cpu-exporter -n "__fish_cpu_exporter_needs_command" -l collector.stat.softirq -d 'Export softirqs by vector; by default off with --metrics.names=node' -r -f -a "true\t''
false\t''"
complete -c cpu-exporter -n "__fish_cpu_exporter_needs_command" -l collector.rapl.enable-zone-label -d 'With --metrics.names=node, export the zone of an energy counter as a label' -r -f -a "true\t''
false\t''"
complete -c cpu-exporter -n "__fish_cpu_exporter_needs_command" -l path.rootfs -r
complete -c cpu-exporter -n "__fish_cpu_exporter_needs_command" -l path.udev.data -r
complete -c cpu-exporter -n "__fish_cpu_exporter_needs_command" -l runtime.gomaxprocs -r
complete -c cpu-exporter -n "__fish_cpu_exporter_needs_command" -l collector.cpu.info.flags-include -r
complete -c cpu-exporter -n "__fish_cpu_exporter_needs_command" -l collector.cpu.info.bugs-include -r
complete -c cpu-exporter -n "__fish_cpu_exporter_needs_command" -l collector.interrupts.name-include -r
complete -c cpu-exporter -n "__fish_cpu_exporter_needs_command" -l collector.interrupts.name-exclude -r
complete -c cpu-exporter -n "__fish_cpu_exporter_needs_command" -l web.listen-address -d 'Address to listen on: host:port, :port, [v6]:port or unix:/path. Repeatable.' -r
complete -c cpu-exporter -n "__fish_cpu_exporter_needs_command" -l collector.cpu -d 'Enable the collector cpu, or disable it with --no-collector.cpu [default: enabled]' -r -f -a "true\t''
false\t''"
complete -c cpu-exporter -n "__fish_cpu_exporter_needs_command" -l collector.loadavg -d 'Enable the collector loadavg, or disable it with --no-collector.loadavg [default: enabled]' -r -f -a "true\t''
false\t''"
complete -c cpu-exporter -n "__fish_cpu_exporter_needs_command" -l collector.stat -d 'Enable the collector stat, or disable it with --no-collector.stat [default: enabled]' -r -f -a "true\t''
false\t''"
complete -c cpu-exporter -n "__fish_cpu_exporter_needs_command" -l collector.pressure -d 'Enable the collector pressure, or disable it with --no-collector.pressure [default: enabled]' -r -f -a "true\t''
false\t''"
complete -c cpu-exporter -n "__fish_cpu_exporter_needs_command" -l collector.cpufreq -d 'Enable the collector cpufreq, or disable it with --no-collector.cpufreq [default: enabled]' -r -f -a "true\t''
false\t''"
complete -c cpu-exporter -n "__fish_cpu_exporter_needs_command" -l collector.topology -d 'Enable the collector topology, or disable it with --no-collector.topology [default: enabled]' -r -f -a "true\t''
false\t''"
complete -c cpu-exporter -n "__fish_cpu_exporter_needs_command" -l collector.info -d 'Enable the collector info, or disable it with --no-collector.info [default: enabled]' -r -f -a "true\t''
false\t''"
complete -c cpu-exporter -n "__fish_cpu_exporter_needs_command" -l collector.throttle -d 'Enable the collector throttle, or disable it with --no-collector.throttle [default: enabled]' -r -f -a "true\t''
false\t''"
complete -c cpu-exporter -n "__fish_cpu_exporter_needs_command" -l collector.schedstat -d 'Enable the collector schedstat, or disable it with --no-collector.schedstat [default: enabled]' -r -f -a "true\t''
false\t''"
complete -c cpu-exporter -n "__fish_cpu_exporter_needs_command" -l collector.rapl -d 'Enable the collector rapl, or disable it with --no-collector.rapl [default: enabled]' -r -f -a "true\t''
false\t''"
complete -c cpu-exporter -n "__fish_cpu_exporter_needs_command" -l collector.softirqs -d 'Enable the collector softirqs, or disable it with --no-collector.softirqs [default: disabled]' -r -f -a "true\t''
false\t''"
complete -c cpu-exporter -n "__fish_cpu_exporter_needs_command" -l collector.interrupts -d 'Enable the collector interrupts, or disable it with --no-collector.interrupts [default: disabled]' -r -f -a "true\t''
false\t''"
complete -c cpu-exporter -n "__fish_cpu_exporter_needs_command" -l collector.cpuidle -d 'Enable the collector cpuidle, or disable it with --no-collector.cpuidle [default: disabled]' -r -f -a "true\t''
false\t''"
complete -c cpu-exporter -n "__fish_cpu_exporter_needs_command" -l collector.time -d 'Enable the collector time, or disable it with --no-collector.time [default: disabled]' -r -f -a "true\t''
false\t''"
complete -c cpu-exporter -n "__fish_cpu_exporter_needs_command" -l collector.uname -d 'Enable the collector uname, or disable it with --no-collector.uname [default: disabled]' -r -f -a "true\t''
false\t''"
complete -c cpu-exporter -n "__fish_cpu_exporter_needs_command" -l collector.cgroups -d 'Enable the collector cgroups, or disable it with --no-collector.cgroups [default: disabled]' -r -f -a "true\t''
false\t''"
complete -c cpu-exporter -n "__fish_cpu_exporter_needs_command" -l collector.processes -d 'Enable the collector processes, or disable it with --no-collector.processes [default: disabled]' -r -f -a "true\t''
false\t''"
complete -c cpu-exporter -n "__fish_cpu_exporter_needs_command" -l collector.cgroup -d 'Enable the collector cgroup, or disable it with --no-collector.cgroup [default: disabled]' -r -f -a "true\t''
false\t''"
complete -c cpu-exporter -n "__fish_cpu_exporter_needs_command" -l web.systemd-socket -d 'Use systemd socket activation instead of --web.listen-address'
complete -c cpu-exporter -n "__fish_cpu_exporter_needs_command" -l web.openmetrics-created -d 'Add the created timestamps of counters and histograms to OpenMetrics responses, as additional series (*_created)'
complete -c cpu-exporter -n "__fish_cpu_exporter_needs_command" -l web.disable-exporter-metrics -d 'Exclude metrics about the exporter itself (promhttp_*, process_*, refused scrapes, closed connections)'
complete -c cpu-exporter -n "__fish_cpu_exporter_needs_command" -l once -d 'Read all sources once, print the metrics to standard output, and exit'
complete -c cpu-exporter -n "__fish_cpu_exporter_needs_command" -l check -d 'Validate the flags and the files they name without opening a connection, and exit'
complete -c cpu-exporter -n "__fish_cpu_exporter_needs_command" -l no-collector.cpu.per-cpu
complete -c cpu-exporter -n "__fish_cpu_exporter_needs_command" -l no-collector.cpu.guest
complete -c cpu-exporter -n "__fish_cpu_exporter_needs_command" -l no-collector.cpu.info
complete -c cpu-exporter -n "__fish_cpu_exporter_needs_command" -l no-collector.stat.softirq
complete -c cpu-exporter -n "__fish_cpu_exporter_needs_command" -l no-collector.rapl.enable-zone-label
complete -c cpu-exporter -n "__fish_cpu_exporter_needs_command" -l no-collector.cpu
complete -c cpu-exporter -n "__fish_cpu_exporter_needs_command" -l no-collector.loadavg
complete -c cpu-exporter -n "__fish_cpu_exporter_needs_command" -l no-collector.stat
complete -c cpu-exporter -n "__fish_cpu_exporter_needs_command" -l no-collector.pressure
complete -c cpu-exporter -n "__fish_cpu_exporter_needs_command" -l no-collector.cpufreq
complete -c cpu-exporter -n "__fish_cpu_exporter_needs_command" -l no-collector.topology
complete -c cpu-exporter -n "__fish_cpu_exporter_needs_command" -l no-collector.info
complete -c cpu-exporter -n "__fish_cpu_exporter_needs_command" -l no-collector.throttle
complete -c cpu-exporter -n "__fish_cpu_exporter_needs_command" -l no-collector.schedstat
complete -c cpu-exporter -n "__fish_cpu_exporter_needs_command" -l no-collector.rapl
complete -c cpu-exporter -n "__fish_cpu_exporter_needs_command" -l no-collector.softirqs
complete -c cpu-exporter -n "__fish_cpu_exporter_needs_command" -l no-collector.interrupts
complete -c cpu-exporter -n "__fish_cpu_exporter_needs_command" -l no-collector.cpuidle
complete -c cpu-exporter -n "__fish_cpu_exporter_needs_command" -l no-collector.time
complete -c cpu-exporter -n "__fish_cpu_exporter_needs_command" -l no-collector.uname
complete -c cpu-exporter -n "__fish_cpu_exporter_needs_command" -l no-collector.cgroups
complete -c cpu-exporter -n "__fish_cpu_exporter_needs_command" -l no-collector.processes
complete -c cpu-exporter -n "__fish_cpu_exporter_needs_command" -l no-collector.cgroup
complete -c cpu-exporter -n "__fish_cpu_exporter_needs_command" -l collector.disable-defaults -d 'Disable every collector without a --collector.NAME flag'
complete -c cpu-exporter -n "__fish_cpu_exporter_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cpu-exporter -n "__fish_cpu_exporter_needs_command" -s V -l version -d 'Print version'
complete -c cpu-exporter -n "__fish_cpu_exporter_needs_command" -f -a "healthcheck" -d 'Check whether the exporter at the listen address is healthy; for containers'
complete -c cpu-exporter -n "__fish_cpu_exporter_needs_command" -f -a "completions" -d 'Print a script that completes flags and their values in a shell'
complete -c cpu-exporter -n "__fish_cpu_exporter_needs_command" -f -a "man" -d 'Print the manual page of the program or of a command, for `man -l -`'
complete -c cpu-exporter -n "__fish_cpu_exporter_using_subcommand healthcheck" -l web.config.file -d 'Web configuration file with TLS, basic auth and headers, in the format of all Prometheus exporters' -r -F
complete -c cpu-exporter -n "__fish_cpu_exporter_using_subcommand healthcheck" -l log.level -d 'Lowest severity to log' -r -f -a "error\t'Failures that stop the process or a part of it'
warn\t'Failures that the process survives'
info\t'Changes of the state'
debug\t'Details for a diagnosis'"
complete -c cpu-exporter -n "__fish_cpu_exporter_using_subcommand healthcheck" -l log.format -d 'Format of log messages' -r -f -a "logfmt\t'`time=… level=INFO msg="…" key=value`'
json\t'`{"time":"…","level":"INFO","msg":"…","key":"value"}`'"
complete -c cpu-exporter -n "__fish_cpu_exporter_using_subcommand healthcheck" -l web.listen-address -d 'Address to listen on: host:port, :port, [v6]:port or unix:/path. Repeatable.' -r
complete -c cpu-exporter -n "__fish_cpu_exporter_using_subcommand healthcheck" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cpu-exporter -n "__fish_cpu_exporter_using_subcommand completions" -l web.config.file -d 'Web configuration file with TLS, basic auth and headers, in the format of all Prometheus exporters' -r -F
complete -c cpu-exporter -n "__fish_cpu_exporter_using_subcommand completions" -l log.level -d 'Lowest severity to log' -r -f -a "error\t'Failures that stop the process or a part of it'
warn\t'Failures that the process survives'
info\t'Changes of the state'
debug\t'Details for a diagnosis'"
complete -c cpu-exporter -n "__fish_cpu_exporter_using_subcommand completions" -l log.format -d 'Format of log messages' -r -f -a "logfmt\t'`time=… level=INFO msg="…" key=value`'
json\t'`{"time":"…","level":"INFO","msg":"…","key":"value"}`'"
complete -c cpu-exporter -n "__fish_cpu_exporter_using_subcommand completions" -l web.listen-address -d 'Address to listen on: host:port, :port, [v6]:port or unix:/path. Repeatable.' -r
complete -c cpu-exporter -n "__fish_cpu_exporter_using_subcommand completions" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cpu-exporter -n "__fish_cpu_exporter_using_subcommand man" -l web.config.file -d 'Web configuration file with TLS, basic auth and headers, in the format of all Prometheus exporters' -r -F
complete -c cpu-exporter -n "__fish_cpu_exporter_using_subcommand man" -l log.level -d 'Lowest severity to log' -r -f -a "error\t'Failures that stop the process or a part of it'
warn\t'Failures that the process survives'
info\t'Changes of the state'
debug\t'Details for a diagnosis'"
complete -c cpu-exporter -n "__fish_cpu_exporter_using_subcommand man" -l log.format -d 'Format of log messages' -r -f -a "logfmt\t'`time=… level=INFO msg="…" key=value`'
json\t'`{"time":"…","level":"INFO","msg":"…","key":"value"}`'"
complete -c cpu-exporter -n "__fish_cpu_exporter_using_subcommand man" -l web.listen-address -d 'Address to listen on: host:port, :port, [v6]:port or unix:/path. Repeatable.' -r
complete -c cpu-exporter -n "__fish_cpu_exporter_using_subcommand man" -s h -l help -d 'Print help (see more with \'--help\')'
