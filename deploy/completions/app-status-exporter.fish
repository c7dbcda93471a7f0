# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_app_status_exporter_global_optspecs
    string join \n config.file= config.module= collect.cache-ttl= web.telemetry-path= web.config.file= web.systemd-socket web.max-requests= web.disable-exporter-metrics scrape.timeout= scrape.timeout-offset= log.level= log.format= once check app.url= poll.interval= web.listen-address= h/help V/version
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

complete -c app-status-exporter -n "__fish_app_status_exporter_needs_command" -l config.file -d 'Configuration of json_exporter that maps the page to metrics. Without it, the page has the four classic fields' -r -F
complete -c app-status-exporter -n "__fish_app_status_exporter_needs_command" -l config.module -d 'Module of the configuration [default: default]' -r
complete -c app-status-exporter -n "__fish_app_status_exporter_needs_command" -l collect.cache-ttl -d 'Answer scrapes from the last good read while it is younger than this; 0, the default, reads for every scrape' -r
complete -c app-status-exporter -n "__fish_app_status_exporter_needs_command" -l web.telemetry-path -d 'Path under which metrics are served' -r
complete -c app-status-exporter -n "__fish_app_status_exporter_needs_command" -l web.config.file -d 'File with TLS, users and headers, as all Prometheus exporters read it' -r -F
complete -c app-status-exporter -n "__fish_app_status_exporter_needs_command" -l web.max-requests -d 'How many scrapes are answered at once; 0 is no limit' -r
complete -c app-status-exporter -n "__fish_app_status_exporter_needs_command" -l scrape.timeout -d 'How long a read of a source may take' -r
complete -c app-status-exporter -n "__fish_app_status_exporter_needs_command" -l scrape.timeout-offset -d 'How much earlier than Prometheus gives up an answer is sent' -r
complete -c app-status-exporter -n "__fish_app_status_exporter_needs_command" -l log.level -d 'Least severe messages to log: error, warn, info, debug' -r
complete -c app-status-exporter -n "__fish_app_status_exporter_needs_command" -l log.format -d 'Format of log messages' -r -f -a "logfmt\t'`time=… level=INFO msg="…" key=value`'
json\t'`{"time":"…","level":"INFO","msg":"…","key":"value"}`'"
complete -c app-status-exporter -n "__fish_app_status_exporter_needs_command" -l app.url -d 'URL of the status page: http://, https://, unix:/run/app.sock:/path or file:page.json' -r
complete -c app-status-exporter -n "__fish_app_status_exporter_needs_command" -l poll.interval -d 'Read in the background at this interval; 0 reads when scraped' -r
complete -c app-status-exporter -n "__fish_app_status_exporter_needs_command" -l web.listen-address -d 'Address to listen on, again for each further one: host:port, :port, [v6]:port, unix:/path' -r
complete -c app-status-exporter -n "__fish_app_status_exporter_needs_command" -l web.systemd-socket -d 'Take the listening sockets from systemd, instead of the addresses'
complete -c app-status-exporter -n "__fish_app_status_exporter_needs_command" -l web.disable-exporter-metrics -d 'Leave out the metrics about the exporter\'s own process (process_*)'
complete -c app-status-exporter -n "__fish_app_status_exporter_needs_command" -l once -d 'Collect once, print the metrics on standard output and end'
complete -c app-status-exporter -n "__fish_app_status_exporter_needs_command" -l check -d 'Validate the flags and every file they name, open no connection, and end'
complete -c app-status-exporter -n "__fish_app_status_exporter_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c app-status-exporter -n "__fish_app_status_exporter_needs_command" -s V -l version -d 'Print version'
complete -c app-status-exporter -n "__fish_app_status_exporter_needs_command" -f -a "healthcheck" -d 'Check whether the exporter at the listen address is healthy; for containers'
complete -c app-status-exporter -n "__fish_app_status_exporter_using_subcommand healthcheck" -l web.config.file -d 'Web configuration file with TLS, basic auth and headers, in the format of all Prometheus exporters' -r -F
complete -c app-status-exporter -n "__fish_app_status_exporter_using_subcommand healthcheck" -l log.level -d 'Lowest severity to log: error, warn, info or debug' -r
complete -c app-status-exporter -n "__fish_app_status_exporter_using_subcommand healthcheck" -l log.format -d 'Format of log messages' -r -f -a "logfmt\t'`time=… level=INFO msg="…" key=value`'
json\t'`{"time":"…","level":"INFO","msg":"…","key":"value"}`'"
complete -c app-status-exporter -n "__fish_app_status_exporter_using_subcommand healthcheck" -l web.listen-address -d 'Address to listen on: host:port, :port, [v6]:port or unix:/path. Repeatable.' -r
complete -c app-status-exporter -n "__fish_app_status_exporter_using_subcommand healthcheck" -s h -l help -d 'Print help (see more with \'--help\')'
