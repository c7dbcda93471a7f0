# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_queue_exporter_global_optspecs
    string join \n web.telemetry-path= web.config.file= web.systemd-socket web.max-requests= web.openmetrics-created web.disable-exporter-metrics scrape.timeout= scrape.timeout-offset= log.level= log.format= once check queue.system= queue.url= queue.username= queue.password-file= queue.tls-ca-file= queue.tls-cert-file= queue.tls-key-file= queue.query-file= queue.include= queue.exclude= queue.max-queues= metrics.native-histograms= queue.timeout= collect.cache-ttl= web.listen-address= poll.interval= probe h/help V/version
end

function __fish_queue_exporter_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_queue_exporter_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_queue_exporter_using_subcommand
    set -l cmd (__fish_queue_exporter_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c queue-exporter -n "__fish_queue_exporter_needs_command" -l web.telemetry-path -d 'Path of the metrics endpoint' -r
complete -c queue-exporter -n "__fish_queue_exporter_needs_command" -l web.config.file -d 'Web configuration file with TLS, basic auth and headers, in the format of all Prometheus exporters' -r -F
complete -c queue-exporter -n "__fish_queue_exporter_needs_command" -l web.max-requests -d 'Maximum number of concurrent scrapes; 0 means no limit' -r
complete -c queue-exporter -n "__fish_queue_exporter_needs_command" -l scrape.timeout -d 'Maximum duration of a read of a source, with its unit: 500ms, 10s, 1m' -r
complete -c queue-exporter -n "__fish_queue_exporter_needs_command" -l scrape.timeout-offset -d 'Safety margin subtracted from Prometheus\'s scrape timeout, with its unit: 500ms, 1s; 0 means none' -r
complete -c queue-exporter -n "__fish_queue_exporter_needs_command" -l log.level -d 'Lowest severity to log' -r -f -a "error\t'Failures that stop the process or a part of it'
warn\t'Failures that the process survives'
info\t'Changes of the state'
debug\t'Details for a diagnosis'"
complete -c queue-exporter -n "__fish_queue_exporter_needs_command" -l log.format -d 'Format of log messages' -r -f -a "logfmt\t'`time=… level=INFO msg="…" key=value`'
json\t'`{"time":"…","level":"INFO","msg":"…","key":"value"}`'"
complete -c queue-exporter -n "__fish_queue_exporter_needs_command" -l queue.system -d 'Queue system to read [default: by the scheme of the URL; http means http, redis means redis-streams]' -r -f -a "http\t''
rabbitmq\t''
redis-streams\t''
redis-lists\t''
bullmq\t''
rq\t''
celery\t''
sidekiq\t''
beanstalkd\t''
nats\t''
kafka\t''
postgres\t''
sqs\t''"
complete -c queue-exporter -n "__fish_queue_exporter_needs_command" -l queue.url -d 'URL of the queue system; required: http://localhost:8082/queues, http://localhost:15672 (RabbitMQ\'s management API, with --queue.system rabbitmq), redis://localhost:6379 (or any node of a cluster), kafka://localhost:9092, postgres://localhost/database, https://sqs.REGION.amazonaws.com (with --queue.system sqs), beanstalk://localhost:11300, nats+http://localhost:8222' -r
complete -c queue-exporter -n "__fish_queue_exporter_needs_command" -l queue.username -d 'User name for HTTP, Redis, PostgreSQL or Kafka; overrides the one in the URL' -r
complete -c queue-exporter -n "__fish_queue_exporter_needs_command" -l queue.password-file -d 'File with the password, reloaded for every read of the queues' -r -F
complete -c queue-exporter -n "__fish_queue_exporter_needs_command" -l queue.tls-ca-file -d 'PEM file with the CA certificates to trust for encrypted connections, instead of the system\'s CA certificates' -r -F
complete -c queue-exporter -n "__fish_queue_exporter_needs_command" -l queue.tls-cert-file -d 'PEM file with the client certificate; requires --queue.tls-key-file' -r -F
complete -c queue-exporter -n "__fish_queue_exporter_needs_command" -l queue.tls-key-file -d 'PEM file with the private key of the client certificate' -r -F
complete -c queue-exporter -n "__fish_queue_exporter_needs_command" -l queue.query-file -d 'File with an SQL query for postgres, which returns the columns queue, state, count and oldest' -r -F
complete -c queue-exporter -n "__fish_queue_exporter_needs_command" -l queue.include -d 'Export only queues whose whole name matches' -r
complete -c queue-exporter -n "__fish_queue_exporter_needs_command" -l queue.exclude -d 'Do not export queues whose whole name matches' -r
complete -c queue-exporter -n "__fish_queue_exporter_needs_command" -l queue.max-queues -d 'Number of queues to export individually, deepest first; the others are summed up as _other [default: all]' -r
complete -c queue-exporter -n "__fish_queue_exporter_needs_command" -l metrics.native-histograms -d 'Add native histograms of processing times that the exporter observes, for scrapers that request the protobuf format; disable them with =false' -r -f -a "true\t''
false\t''"
complete -c queue-exporter -n "__fish_queue_exporter_needs_command" -l queue.timeout -d 'Maximum duration of one request, with its unit: 500ms, 5s; at most the rest of the scrape' -r
complete -c queue-exporter -n "__fish_queue_exporter_needs_command" -l collect.cache-ttl -d 'How long a successful read serves later scrapes, with its unit: 500ms, 3s, 1m; 0 means no cache. Replaces --poll.interval' -r
complete -c queue-exporter -n "__fish_queue_exporter_needs_command" -l web.listen-address -d 'Address to listen on: host:port, :port, [v6]:port or unix:/path. Repeatable.' -r
complete -c queue-exporter -n "__fish_queue_exporter_needs_command" -l poll.interval -d 'Interval of reads in the background, with its unit: 500ms, 5s, 1m; 0 means one read per scrape' -r
complete -c queue-exporter -n "__fish_queue_exporter_needs_command" -l web.systemd-socket -d 'Use systemd socket activation instead of --web.listen-address'
complete -c queue-exporter -n "__fish_queue_exporter_needs_command" -l web.openmetrics-created -d 'Add the created timestamps of counters and histograms to OpenMetrics responses, as additional series (*_created)'
complete -c queue-exporter -n "__fish_queue_exporter_needs_command" -l web.disable-exporter-metrics -d 'Exclude metrics about the exporter itself (promhttp_*, process_*, refused scrapes, closed connections)'
complete -c queue-exporter -n "__fish_queue_exporter_needs_command" -l once -d 'Read all sources once, print the metrics to standard output, and exit'
complete -c queue-exporter -n "__fish_queue_exporter_needs_command" -l check -d 'Validate the flags and the files they name without opening a connection, and exit'
complete -c queue-exporter -n "__fish_queue_exporter_needs_command" -l probe -d 'Connect once, print the findings and errors, and exit; alone or with --check'
complete -c queue-exporter -n "__fish_queue_exporter_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c queue-exporter -n "__fish_queue_exporter_needs_command" -s V -l version -d 'Print version'
complete -c queue-exporter -n "__fish_queue_exporter_needs_command" -f -a "healthcheck" -d 'Check whether the exporter at the listen address is healthy; for containers'
complete -c queue-exporter -n "__fish_queue_exporter_needs_command" -f -a "completions" -d 'Print a script that completes flags and their values in a shell'
complete -c queue-exporter -n "__fish_queue_exporter_needs_command" -f -a "man" -d 'Print the manual page of the program or of a command, for `man -l -`'
complete -c queue-exporter -n "__fish_queue_exporter_using_subcommand healthcheck" -l web.config.file -d 'Web configuration file with TLS, basic auth and headers, in the format of all Prometheus exporters' -r -F
complete -c queue-exporter -n "__fish_queue_exporter_using_subcommand healthcheck" -l log.level -d 'Lowest severity to log' -r -f -a "error\t'Failures that stop the process or a part of it'
warn\t'Failures that the process survives'
info\t'Changes of the state'
debug\t'Details for a diagnosis'"
complete -c queue-exporter -n "__fish_queue_exporter_using_subcommand healthcheck" -l log.format -d 'Format of log messages' -r -f -a "logfmt\t'`time=… level=INFO msg="…" key=value`'
json\t'`{"time":"…","level":"INFO","msg":"…","key":"value"}`'"
complete -c queue-exporter -n "__fish_queue_exporter_using_subcommand healthcheck" -l web.listen-address -d 'Address to listen on: host:port, :port, [v6]:port or unix:/path. Repeatable.' -r
complete -c queue-exporter -n "__fish_queue_exporter_using_subcommand healthcheck" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c queue-exporter -n "__fish_queue_exporter_using_subcommand completions" -l web.config.file -d 'Web configuration file with TLS, basic auth and headers, in the format of all Prometheus exporters' -r -F
complete -c queue-exporter -n "__fish_queue_exporter_using_subcommand completions" -l log.level -d 'Lowest severity to log' -r -f -a "error\t'Failures that stop the process or a part of it'
warn\t'Failures that the process survives'
info\t'Changes of the state'
debug\t'Details for a diagnosis'"
complete -c queue-exporter -n "__fish_queue_exporter_using_subcommand completions" -l log.format -d 'Format of log messages' -r -f -a "logfmt\t'`time=… level=INFO msg="…" key=value`'
json\t'`{"time":"…","level":"INFO","msg":"…","key":"value"}`'"
complete -c queue-exporter -n "__fish_queue_exporter_using_subcommand completions" -l web.listen-address -d 'Address to listen on: host:port, :port, [v6]:port or unix:/path. Repeatable.' -r
complete -c queue-exporter -n "__fish_queue_exporter_using_subcommand completions" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c queue-exporter -n "__fish_queue_exporter_using_subcommand man" -l web.config.file -d 'Web configuration file with TLS, basic auth and headers, in the format of all Prometheus exporters' -r -F
complete -c queue-exporter -n "__fish_queue_exporter_using_subcommand man" -l log.level -d 'Lowest severity to log' -r -f -a "error\t'Failures that stop the process or a part of it'
warn\t'Failures that the process survives'
info\t'Changes of the state'
debug\t'Details for a diagnosis'"
complete -c queue-exporter -n "__fish_queue_exporter_using_subcommand man" -l log.format -d 'Format of log messages' -r -f -a "logfmt\t'`time=… level=INFO msg="…" key=value`'
json\t'`{"time":"…","level":"INFO","msg":"…","key":"value"}`'"
complete -c queue-exporter -n "__fish_queue_exporter_using_subcommand man" -l web.listen-address -d 'Address to listen on: host:port, :port, [v6]:port or unix:/path. Repeatable.' -r
complete -c queue-exporter -n "__fish_queue_exporter_using_subcommand man" -s h -l help -d 'Print help (see more with \'--help\')'
