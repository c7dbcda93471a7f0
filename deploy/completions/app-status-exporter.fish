# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_app_status_exporter_global_optspecs
    string join \n web.telemetry-path= web.config.file= web.systemd-socket web.max-requests= web.openmetrics-created web.disable-exporter-metrics scrape.timeout= scrape.timeout-offset= log.level= log.format= once check probe.target= config.file= config.module= collect.cache-ttl= app.url= poll.interval= web.listen-address= h/help V/version
end

function __fish_app_status_exporter_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_app_status_exporter_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_app_status_exporter_using_subcommand
    set -l cmd (__fish_app_status_exporter_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c app-status-exporter -n "__fish_app_status_exporter_needs_command" -l web.telemetry-path -d 'Path of the metrics endpoint' -r
complete -c app-status-exporter -n "__fish_app_status_exporter_needs_command" -l web.config.file -d 'Web configuration file with TLS, basic auth and headers, in the format of all Prometheus exporters' -r -F
complete -c app-status-exporter -n "__fish_app_status_exporter_needs_command" -l web.max-requests -d 'Maximum number of concurrent scrapes; 0 means no limit' -r
complete -c app-status-exporter -n "__fish_app_status_exporter_needs_command" -l scrape.timeout -d 'Maximum duration of a read of a source, with its unit: 500ms, 10s, 1m' -r
complete -c app-status-exporter -n "__fish_app_status_exporter_needs_command" -l scrape.timeout-offset -d 'Safety margin subtracted from Prometheus\'s scrape timeout, with its unit: 500ms, 1s; 0 means none' -r
complete -c app-status-exporter -n "__fish_app_status_exporter_needs_command" -l log.level -d 'Lowest severity to log' -r -f -a "error\t'Failures that stop the process or a part of it'
warn\t'Failures that the process survives'
info\t'Changes of the state'
debug\t'Details for a diagnosis'"
complete -c app-status-exporter -n "__fish_app_status_exporter_needs_command" -l log.format -d 'Format of log messages' -r -f -a "logfmt\t'`time=… level=INFO msg="…" key=value`'
json\t'`{"time":"…","level":"INFO","msg":"…","key":"value"}`'"
complete -c app-status-exporter -n "__fish_app_status_exporter_needs_command" -l probe.target -d 'Target that requests to /probe may name, for example http://app-*:5000/status. A * is any text without / @ ? #. Without --app.url, only /probe is served. Repeatable' -r
complete -c app-status-exporter -n "__fish_app_status_exporter_needs_command" -l config.file -d 'Configuration of json_exporter that maps the page to metrics. Without it, the page has the four classic fields' -r -F
complete -c app-status-exporter -n "__fish_app_status_exporter_needs_command" -l config.module -d 'Module of the configuration [default: default]' -r
complete -c app-status-exporter -n "__fish_app_status_exporter_needs_command" -l collect.cache-ttl -d 'How long a successful read serves later scrapes, with its unit: 500ms, 3s, 1m; 0 means no cache. Replaces --poll.interval' -r
complete -c app-status-exporter -n "__fish_app_status_exporter_needs_command" -l app.url -d 'URL of the status page: http://, https://, unix:/run/app.sock:/path, or file:page.json; tcp://host:port or socket:/run/app.sock for a socket without HTTP' -r
complete -c app-status-exporter -n "__fish_app_status_exporter_needs_command" -l poll.interval -d 'Interval of reads in the background, with its unit: 500ms, 5s, 1m; 0 means one read per scrape' -r
complete -c app-status-exporter -n "__fish_app_status_exporter_needs_command" -l web.listen-address -d 'Address to listen on: host:port, :port, [v6]:port or unix:/path. Repeatable.' -r
complete -c app-status-exporter -n "__fish_app_status_exporter_needs_command" -l web.systemd-socket -d 'Use systemd socket activation instead of --web.listen-address'
complete -c app-status-exporter -n "__fish_app_status_exporter_needs_command" -l web.openmetrics-created -d 'Add the created timestamps of counters and histograms to OpenMetrics responses, as additional series (*_created)'
complete -c app-status-exporter -n "__fish_app_status_exporter_needs_command" -l web.disable-exporter-metrics -d 'Exclude metrics about the exporter itself (promhttp_*, process_*, refused scrapes, closed connections)'
complete -c app-status-exporter -n "__fish_app_status_exporter_needs_command" -l once -d 'Read all sources once, print the metrics to standard output, and exit'
complete -c app-status-exporter -n "__fish_app_status_exporter_needs_command" -l check -d 'Validate the flags and the files they name without opening a connection, and exit'
complete -c app-status-exporter -n "__fish_app_status_exporter_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c app-status-exporter -n "__fish_app_status_exporter_needs_command" -s V -l version -d 'Print version'
complete -c app-status-exporter -n "__fish_app_status_exporter_needs_command" -f -a "suggest" -d 'Read a status page, and print a commented configuration (--config.file) that maps it to metrics'
complete -c app-status-exporter -n "__fish_app_status_exporter_needs_command" -f -a "healthcheck" -d 'Check whether the exporter at the listen address is healthy; for containers'
complete -c app-status-exporter -n "__fish_app_status_exporter_needs_command" -f -a "completions" -d 'Print a script that completes flags and their values in a shell'
complete -c app-status-exporter -n "__fish_app_status_exporter_needs_command" -f -a "man" -d 'Print the manual page of the program or of a command, for `man -l -`'
complete -c app-status-exporter -n "__fish_app_status_exporter_using_subcommand suggest" -l second-read -d 'Time after which to read the page again, with its unit: 500ms, 10s, 1m; values that increased become counters' -r
complete -c app-status-exporter -n "__fish_app_status_exporter_using_subcommand suggest" -l prefix -d 'First word of the names of metrics [default: app, or the server of a page that is not JSON]' -r
complete -c app-status-exporter -n "__fish_app_status_exporter_using_subcommand suggest" -l config.file -d 'Configuration with the request settings for the page (authentication, TLS, headers); its metrics are ignored' -r -F
complete -c app-status-exporter -n "__fish_app_status_exporter_using_subcommand suggest" -l config.module -d 'Module of that configuration' -r
complete -c app-status-exporter -n "__fish_app_status_exporter_using_subcommand suggest" -l web.config.file -d 'Web configuration file with TLS, basic auth and headers, in the format of all Prometheus exporters' -r -F
complete -c app-status-exporter -n "__fish_app_status_exporter_using_subcommand suggest" -l log.level -d 'Lowest severity to log' -r -f -a "error\t'Failures that stop the process or a part of it'
warn\t'Failures that the process survives'
info\t'Changes of the state'
debug\t'Details for a diagnosis'"
complete -c app-status-exporter -n "__fish_app_status_exporter_using_subcommand suggest" -l log.format -d 'Format of log messages' -r -f -a "logfmt\t'`time=… level=INFO msg="…" key=value`'
json\t'`{"time":"…","level":"INFO","msg":"…","key":"value"}`'"
complete -c app-status-exporter -n "__fish_app_status_exporter_using_subcommand suggest" -l web.listen-address -d 'Address to listen on: host:port, :port, [v6]:port or unix:/path. Repeatable.' -r
complete -c app-status-exporter -n "__fish_app_status_exporter_using_subcommand suggest" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c app-status-exporter -n "__fish_app_status_exporter_using_subcommand healthcheck" -l web.config.file -d 'Web configuration file with TLS, basic auth and headers, in the format of all Prometheus exporters' -r -F
complete -c app-status-exporter -n "__fish_app_status_exporter_using_subcommand healthcheck" -l log.level -d 'Lowest severity to log' -r -f -a "error\t'Failures that stop the process or a part of it'
warn\t'Failures that the process survives'
info\t'Changes of the state'
debug\t'Details for a diagnosis'"
complete -c app-status-exporter -n "__fish_app_status_exporter_using_subcommand healthcheck" -l log.format -d 'Format of log messages' -r -f -a "logfmt\t'`time=… level=INFO msg="…" key=value`'
json\t'`{"time":"…","level":"INFO","msg":"…","key":"value"}`'"
complete -c app-status-exporter -n "__fish_app_status_exporter_using_subcommand healthcheck" -l web.listen-address -d 'Address to listen on: host:port, :port, [v6]:port or unix:/path. Repeatable.' -r
complete -c app-status-exporter -n "__fish_app_status_exporter_using_subcommand healthcheck" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c app-status-exporter -n "__fish_app_status_exporter_using_subcommand completions" -l web.config.file -d 'Web configuration file with TLS, basic auth and headers, in the format of all Prometheus exporters' -r -F
complete -c app-status-exporter -n "__fish_app_status_exporter_using_subcommand completions" -l log.level -d 'Lowest severity to log' -r -f -a "error\t'Failures that stop the process or a part of it'
warn\t'Failures that the process survives'
info\t'Changes of the state'
debug\t'Details for a diagnosis'"
complete -c app-status-exporter -n "__fish_app_status_exporter_using_subcommand completions" -l log.format -d 'Format of log messages' -r -f -a "logfmt\t'`time=… level=INFO msg="…" key=value`'
json\t'`{"time":"…","level":"INFO","msg":"…","key":"value"}`'"
complete -c app-status-exporter -n "__fish_app_status_exporter_using_subcommand completions" -l web.listen-address -d 'Address to listen on: host:port, :port, [v6]:port or unix:/path. Repeatable.' -r
complete -c app-status-exporter -n "__fish_app_status_exporter_using_subcommand completions" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c app-status-exporter -n "__fish_app_status_exporter_using_subcommand man" -l web.config.file -d 'Web configuration file with TLS, basic auth and headers, in the format of all Prometheus exporters' -r -F
complete -c app-status-exporter -n "__fish_app_status_exporter_using_subcommand man" -l log.level -d 'Lowest severity to log' -r -f -a "error\t'Failures that stop the process or a part of it'
warn\t'Failures that the process survives'
info\t'Changes of the state'
debug\t'Details for a diagnosis'"
complete -c app-status-exporter -n "__fish_app_status_exporter_using_subcommand man" -l log.format -d 'Format of log messages' -r -f -a "logfmt\t'`time=… level=INFO msg="…" key=value`'
json\t'`{"time":"…","level":"INFO","msg":"…","key":"value"}`'"
complete -c app-status-exporter -n "__fish_app_status_exporter_using_subcommand man" -l web.listen-address -d 'Address to listen on: host:port, :port, [v6]:port or unix:/path. Repeatable.' -r
complete -c app-status-exporter -n "__fish_app_status_exporter_using_subcommand man" -s h -l help -d 'Print help (see more with \'--help\')'
