# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_httpd_log_exporter_global_optspecs
    string join \n web.telemetry-path= web.config.file= web.systemd-socket web.max-requests= web.openmetrics-created web.disable-exporter-metrics scrape.timeout= scrape.timeout-offset= log.level= log.format= check access-log= config.file= access-log.format= access-log.regex= access-log.container= access-log.start= state.file= metrics.buckets= metrics.native-histograms= metrics.exemplar= metrics.max-series= metrics.label= metrics.route= metrics.counter= metrics.histogram= access-log.drop= metrics.file= web.listen-address= once h/help V/version
end

function __fish_httpd_log_exporter_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_httpd_log_exporter_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_httpd_log_exporter_using_subcommand
    set -l cmd (__fish_httpd_log_exporter_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c httpd-log-exporter -n "__fish_httpd_log_exporter_needs_command" -l web.telemetry-path -d 'Path of the metrics endpoint' -r
complete -c httpd-log-exporter -n "__fish_httpd_log_exporter_needs_command" -l web.config.file -d 'Web configuration file with TLS, basic auth and headers, in the format of all Prometheus exporters' -r -F
complete -c httpd-log-exporter -n "__fish_httpd_log_exporter_needs_command" -l web.max-requests -d 'Maximum number of concurrent scrapes; 0 means no limit' -r
complete -c httpd-log-exporter -n "__fish_httpd_log_exporter_needs_command" -l scrape.timeout -d 'Maximum duration of a read of a source, with its unit: 500ms, 10s, 1m' -r
complete -c httpd-log-exporter -n "__fish_httpd_log_exporter_needs_command" -l scrape.timeout-offset -d 'Safety margin subtracted from Prometheus\'s scrape timeout, with its unit: 500ms, 1s; 0 means none' -r
complete -c httpd-log-exporter -n "__fish_httpd_log_exporter_needs_command" -l log.level -d 'Lowest severity to log' -r -f -a "error\t'Failures that stop the process or a part of it'
warn\t'Failures that the process survives'
info\t'Changes of the state'
debug\t'Details for a diagnosis'"
complete -c httpd-log-exporter -n "__fish_httpd_log_exporter_needs_command" -l log.format -d 'Format of log messages' -r -f -a "logfmt\t'`time=… level=INFO msg="…" key=value`'
json\t'`{"time":"…","level":"INFO","msg":"…","key":"value"}`'"
complete -c httpd-log-exporter -n "__fish_httpd_log_exporter_needs_command" -l access-log -d 'Access log to follow: a path, a glob (** matches any number of folders), a FIFO, - for standard input, syslog+udp://HOST:PORT, syslog+tcp://HOST:PORT or syslog+unix:/PATH. Repeatable for several logs of the same server' -r
complete -c httpd-log-exporter -n "__fish_httpd_log_exporter_needs_command" -l config.file -d 'Configuration of prometheus-nginxlog-exporter (.hcl, .yaml or .yml), whose metrics are exported under their names. Its address, port and path of metrics apply unless their flags are used' -r -F
complete -c httpd-log-exporter -n "__fish_httpd_log_exporter_needs_command" -l access-log.format -d 'Format of the logs: a preset (combined, common, combined_time, combined_us, vhost_combined, ingress_nginx, traefik, traefik_json, caddy, haproxy, envoy, w3c, cloudfront, json, …), or nginx\'s log_format or Apache\'s LogFormat, copied from the server\'s configuration' -r -f -a "combined\t'the default of nginx and Apache; also matches common, and additional fields at the end'
common\t'the common log format of NCSA and Apache'
combined_time\t'combined, then nginx\'s $request_time'
combined_us\t'combined, then Apache\'s %D'
combinedio\t'combined, then Apache\'s %I and %O'
vhost_combined\t'Apache on Debian: virtual host and port, then combined'
vhost_common\t'virtual host, then common'
lighttpd\t'lighttpd\'s default'
ingress_nginx\t'the default of Kubernetes\' ingress-nginx'
traefik\t'Traefik\'s default'
traefik_json\t'Traefik with format: json'
caddy\t'Caddy\'s JSON'
haproxy\t'HAProxy with option httplog'
envoy\t'Envoy\'s default'
istio\t'Istio\'s default'
istio_json\t'Istio\'s and Envoy\'s JSON'
json\t'JSON objects whose keys are nginx variables or other common names'
ecs\t'JSON objects with the names of the Elastic Common Schema or of OpenTelemetry, nested or dotted'
cloudfront\t'CloudFront\'s standard logs, with tabs and a line #Fields:'
w3c\t'W3C extended logs with lines #Fields:, with time-taken in milliseconds as in IIS'
w3c_seconds\t'the same with time-taken in seconds, as in Tomcat'"
complete -c httpd-log-exporter -n "__fish_httpd_log_exporter_needs_command" -l access-log.regex -d 'Regular expression for logs that no format matches, with groups named status, request, bytes, request_time, …' -r
complete -c httpd-log-exporter -n "__fish_httpd_log_exporter_needs_command" -l access-log.container -d 'Unwrap container logs (Docker\'s json-file, CRI) and read this stream' -r -f -a "stdout\t'Read standard output'
stderr\t'Read standard error'
all\t'Read both'"
complete -c httpd-log-exporter -n "__fish_httpd_log_exporter_needs_command" -l access-log.start -d 'Where to start reading a log that exists at startup; a log that appears later is read from its beginning' -r -f -a "end\t'Start at the end of the file'
beginning\t'Start at the beginning of the file'"
complete -c httpd-log-exporter -n "__fish_httpd_log_exporter_needs_command" -l state.file -d 'File that stores read positions and counters, so that a restart neither loses nor repeats a line' -r -F
complete -c httpd-log-exporter -n "__fish_httpd_log_exporter_needs_command" -l metrics.buckets -d 'Upper bounds of the duration histogram buckets in seconds, separated by commas' -r
complete -c httpd-log-exporter -n "__fish_httpd_log_exporter_needs_command" -l metrics.native-histograms -d 'Add native histograms to the classic ones, for scrapers that request the protobuf format; disable them with =false' -r -f -a "true\t''
false\t''"
complete -c httpd-log-exporter -n "__fish_httpd_log_exporter_needs_command" -l metrics.exemplar -d 'Field of the log with the trace ID of a request, or its header traceparent: an nginx variable, an Apache directive, a JSON key or a group of the regular expression, for the exemplars of duration histograms' -r
complete -c httpd-log-exporter -n "__fish_httpd_log_exporter_needs_command" -l metrics.max-series -d 'Maximum number of series in all families; additional virtual hosts and values of labels are counted as other' -r
complete -c httpd-log-exporter -n "__fish_httpd_log_exporter_needs_command" -l metrics.label -d 'Label of requests, bytes and durations: the value of a field, or a value extracted from it with a regular expression, for example scheme=$scheme or browser=%{User-Agent}i~(Firefox|Chrome)=>$1; other if the expression does not match. Every format has the fields @method, @status_class, @pod, @namespace and @container. Repeatable' -r
complete -c httpd-log-exporter -n "__fish_httpd_log_exporter_needs_command" -l metrics.route -d 'Value of the label route: a name for paths that match a regular expression, for example api=^/api/, or a template, for example /users/:id. Repeatable; the first match wins, and other paths have the value other' -r
complete -c httpd-log-exporter -n "__fish_httpd_log_exporter_needs_command" -l metrics.counter -d 'Counter with the sum of a numeric field, for example httpd_upstream_received_bytes_total=$upstream_bytes_received. Repeatable' -r
complete -c httpd-log-exporter -n "__fish_httpd_log_exporter_needs_command" -l metrics.histogram -d 'Histogram of a numeric field, with upper bounds of its buckets, for example httpd_response_size_bytes=$body_bytes_sent:1000,10000,100000. Names that end in _seconds or _bytes have default buckets. Repeatable' -r
complete -c httpd-log-exporter -n "__fish_httpd_log_exporter_needs_command" -l access-log.drop -d 'Lines that are not counted as requests, such as health checks: a regular expression for a field, for example path~^/healthz$ or $http_user_agent~^kube-probe/. Every format has the fields @method, @status_class, @pod, @namespace and @container. Repeatable' -r
complete -c httpd-log-exporter -n "__fish_httpd_log_exporter_needs_command" -l metrics.file -d 'YAML file with more rules, after the ones of flags: the lists labels, routes, drop, counters and histograms' -r -F
complete -c httpd-log-exporter -n "__fish_httpd_log_exporter_needs_command" -l web.listen-address -d 'Address to listen on: host:port, :port, [v6]:port or unix:/path. Repeatable.' -r
complete -c httpd-log-exporter -n "__fish_httpd_log_exporter_needs_command" -l web.systemd-socket -d 'Use systemd socket activation instead of --web.listen-address'
complete -c httpd-log-exporter -n "__fish_httpd_log_exporter_needs_command" -l web.openmetrics-created -d 'Add the created timestamps of counters and histograms to OpenMetrics responses, as additional series (*_created)'
complete -c httpd-log-exporter -n "__fish_httpd_log_exporter_needs_command" -l web.disable-exporter-metrics -d 'Exclude metrics about the exporter itself (promhttp_*, process_*, refused scrapes, closed connections)'
complete -c httpd-log-exporter -n "__fish_httpd_log_exporter_needs_command" -l check -d 'Validate the flags and the files they name without opening a connection, and exit'
complete -c httpd-log-exporter -n "__fish_httpd_log_exporter_needs_command" -l once -d 'Read every log from its beginning to its end, print the metrics to standard output, and exit'
complete -c httpd-log-exporter -n "__fish_httpd_log_exporter_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c httpd-log-exporter -n "__fish_httpd_log_exporter_needs_command" -s V -l version -d 'Print version'
complete -c httpd-log-exporter -n "__fish_httpd_log_exporter_needs_command" -a "explain" -d 'Show the fields of a log\'s first lines, or the first mismatch and the preset that matches'
complete -c httpd-log-exporter -n "__fish_httpd_log_exporter_needs_command" -a "healthcheck" -d 'Check whether the exporter at the listen address is healthy; for containers'
complete -c httpd-log-exporter -n "__fish_httpd_log_exporter_needs_command" -a "completions" -d 'Print a script that completes flags and their values in a shell'
complete -c httpd-log-exporter -n "__fish_httpd_log_exporter_needs_command" -a "man" -d 'Print the manual page of the program or of a command, for `man -l -`'
complete -c httpd-log-exporter -n "__fish_httpd_log_exporter_using_subcommand explain" -l web.config.file -d 'Web configuration file with TLS, basic auth and headers, in the format of all Prometheus exporters' -r -F
complete -c httpd-log-exporter -n "__fish_httpd_log_exporter_using_subcommand explain" -l log.level -d 'Lowest severity to log' -r -f -a "error\t'Failures that stop the process or a part of it'
warn\t'Failures that the process survives'
info\t'Changes of the state'
debug\t'Details for a diagnosis'"
complete -c httpd-log-exporter -n "__fish_httpd_log_exporter_using_subcommand explain" -l log.format -d 'Format of log messages' -r -f -a "logfmt\t'`time=… level=INFO msg="…" key=value`'
json\t'`{"time":"…","level":"INFO","msg":"…","key":"value"}`'"
complete -c httpd-log-exporter -n "__fish_httpd_log_exporter_using_subcommand explain" -l access-log.format -d 'Format of the logs: a preset (combined, common, combined_time, combined_us, vhost_combined, ingress_nginx, traefik, traefik_json, caddy, haproxy, envoy, w3c, cloudfront, json, …), or nginx\'s log_format or Apache\'s LogFormat, copied from the server\'s configuration' -r -f -a "combined\t'the default of nginx and Apache; also matches common, and additional fields at the end'
common\t'the common log format of NCSA and Apache'
combined_time\t'combined, then nginx\'s $request_time'
combined_us\t'combined, then Apache\'s %D'
combinedio\t'combined, then Apache\'s %I and %O'
vhost_combined\t'Apache on Debian: virtual host and port, then combined'
vhost_common\t'virtual host, then common'
lighttpd\t'lighttpd\'s default'
ingress_nginx\t'the default of Kubernetes\' ingress-nginx'
traefik\t'Traefik\'s default'
traefik_json\t'Traefik with format: json'
caddy\t'Caddy\'s JSON'
haproxy\t'HAProxy with option httplog'
envoy\t'Envoy\'s default'
istio\t'Istio\'s default'
istio_json\t'Istio\'s and Envoy\'s JSON'
json\t'JSON objects whose keys are nginx variables or other common names'
ecs\t'JSON objects with the names of the Elastic Common Schema or of OpenTelemetry, nested or dotted'
cloudfront\t'CloudFront\'s standard logs, with tabs and a line #Fields:'
w3c\t'W3C extended logs with lines #Fields:, with time-taken in milliseconds as in IIS'
w3c_seconds\t'the same with time-taken in seconds, as in Tomcat'"
complete -c httpd-log-exporter -n "__fish_httpd_log_exporter_using_subcommand explain" -l access-log.regex -d 'Regular expression for logs that no format matches, with groups named status, request, bytes, request_time, …' -r
complete -c httpd-log-exporter -n "__fish_httpd_log_exporter_using_subcommand explain" -l access-log.container -d 'Unwrap container logs (Docker\'s json-file, CRI) and read this stream' -r -f -a "stdout\t'Read standard output'
stderr\t'Read standard error'
all\t'Read both'"
complete -c httpd-log-exporter -n "__fish_httpd_log_exporter_using_subcommand explain" -l metrics.label -d 'Label of requests, bytes and durations: the value of a field, or a value extracted from it with a regular expression, for example scheme=$scheme or browser=%{User-Agent}i~(Firefox|Chrome)=>$1; other if the expression does not match. Every format has the fields @method, @status_class, @pod, @namespace and @container. Repeatable' -r
complete -c httpd-log-exporter -n "__fish_httpd_log_exporter_using_subcommand explain" -l metrics.route -d 'Value of the label route: a name for paths that match a regular expression, for example api=^/api/, or a template, for example /users/:id. Repeatable; the first match wins, and other paths have the value other' -r
complete -c httpd-log-exporter -n "__fish_httpd_log_exporter_using_subcommand explain" -l metrics.counter -d 'Counter with the sum of a numeric field, for example httpd_upstream_received_bytes_total=$upstream_bytes_received. Repeatable' -r
complete -c httpd-log-exporter -n "__fish_httpd_log_exporter_using_subcommand explain" -l metrics.histogram -d 'Histogram of a numeric field, with upper bounds of its buckets, for example httpd_response_size_bytes=$body_bytes_sent:1000,10000,100000. Names that end in _seconds or _bytes have default buckets. Repeatable' -r
complete -c httpd-log-exporter -n "__fish_httpd_log_exporter_using_subcommand explain" -l access-log.drop -d 'Lines that are not counted as requests, such as health checks: a regular expression for a field, for example path~^/healthz$ or $http_user_agent~^kube-probe/. Every format has the fields @method, @status_class, @pod, @namespace and @container. Repeatable' -r
complete -c httpd-log-exporter -n "__fish_httpd_log_exporter_using_subcommand explain" -l metrics.file -d 'YAML file with more rules, after the ones of flags: the lists labels, routes, drop, counters and histograms' -r -F
complete -c httpd-log-exporter -n "__fish_httpd_log_exporter_using_subcommand explain" -l web.listen-address -d 'Address to listen on: host:port, :port, [v6]:port or unix:/path. Repeatable.' -r
complete -c httpd-log-exporter -n "__fish_httpd_log_exporter_using_subcommand explain" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c httpd-log-exporter -n "__fish_httpd_log_exporter_using_subcommand healthcheck" -l web.config.file -d 'Web configuration file with TLS, basic auth and headers, in the format of all Prometheus exporters' -r -F
complete -c httpd-log-exporter -n "__fish_httpd_log_exporter_using_subcommand healthcheck" -l log.level -d 'Lowest severity to log' -r -f -a "error\t'Failures that stop the process or a part of it'
warn\t'Failures that the process survives'
info\t'Changes of the state'
debug\t'Details for a diagnosis'"
complete -c httpd-log-exporter -n "__fish_httpd_log_exporter_using_subcommand healthcheck" -l log.format -d 'Format of log messages' -r -f -a "logfmt\t'`time=… level=INFO msg="…" key=value`'
json\t'`{"time":"…","level":"INFO","msg":"…","key":"value"}`'"
complete -c httpd-log-exporter -n "__fish_httpd_log_exporter_using_subcommand healthcheck" -l access-log.format -d 'Format of the logs: a preset (combined, common, combined_time, combined_us, vhost_combined, ingress_nginx, traefik, traefik_json, caddy, haproxy, envoy, w3c, cloudfront, json, …), or nginx\'s log_format or Apache\'s LogFormat, copied from the server\'s configuration' -r -f -a "combined\t'the default of nginx and Apache; also matches common, and additional fields at the end'
common\t'the common log format of NCSA and Apache'
combined_time\t'combined, then nginx\'s $request_time'
combined_us\t'combined, then Apache\'s %D'
combinedio\t'combined, then Apache\'s %I and %O'
vhost_combined\t'Apache on Debian: virtual host and port, then combined'
vhost_common\t'virtual host, then common'
lighttpd\t'lighttpd\'s default'
ingress_nginx\t'the default of Kubernetes\' ingress-nginx'
traefik\t'Traefik\'s default'
traefik_json\t'Traefik with format: json'
caddy\t'Caddy\'s JSON'
haproxy\t'HAProxy with option httplog'
envoy\t'Envoy\'s default'
istio\t'Istio\'s default'
istio_json\t'Istio\'s and Envoy\'s JSON'
json\t'JSON objects whose keys are nginx variables or other common names'
ecs\t'JSON objects with the names of the Elastic Common Schema or of OpenTelemetry, nested or dotted'
cloudfront\t'CloudFront\'s standard logs, with tabs and a line #Fields:'
w3c\t'W3C extended logs with lines #Fields:, with time-taken in milliseconds as in IIS'
w3c_seconds\t'the same with time-taken in seconds, as in Tomcat'"
complete -c httpd-log-exporter -n "__fish_httpd_log_exporter_using_subcommand healthcheck" -l access-log.regex -d 'Regular expression for logs that no format matches, with groups named status, request, bytes, request_time, …' -r
complete -c httpd-log-exporter -n "__fish_httpd_log_exporter_using_subcommand healthcheck" -l access-log.container -d 'Unwrap container logs (Docker\'s json-file, CRI) and read this stream' -r -f -a "stdout\t'Read standard output'
stderr\t'Read standard error'
all\t'Read both'"
complete -c httpd-log-exporter -n "__fish_httpd_log_exporter_using_subcommand healthcheck" -l metrics.label -d 'Label of requests, bytes and durations: the value of a field, or a value extracted from it with a regular expression, for example scheme=$scheme or browser=%{User-Agent}i~(Firefox|Chrome)=>$1; other if the expression does not match. Every format has the fields @method, @status_class, @pod, @namespace and @container. Repeatable' -r
complete -c httpd-log-exporter -n "__fish_httpd_log_exporter_using_subcommand healthcheck" -l metrics.route -d 'Value of the label route: a name for paths that match a regular expression, for example api=^/api/, or a template, for example /users/:id. Repeatable; the first match wins, and other paths have the value other' -r
complete -c httpd-log-exporter -n "__fish_httpd_log_exporter_using_subcommand healthcheck" -l metrics.counter -d 'Counter with the sum of a numeric field, for example httpd_upstream_received_bytes_total=$upstream_bytes_received. Repeatable' -r
complete -c httpd-log-exporter -n "__fish_httpd_log_exporter_using_subcommand healthcheck" -l metrics.histogram -d 'Histogram of a numeric field, with upper bounds of its buckets, for example httpd_response_size_bytes=$body_bytes_sent:1000,10000,100000. Names that end in _seconds or _bytes have default buckets. Repeatable' -r
complete -c httpd-log-exporter -n "__fish_httpd_log_exporter_using_subcommand healthcheck" -l access-log.drop -d 'Lines that are not counted as requests, such as health checks: a regular expression for a field, for example path~^/healthz$ or $http_user_agent~^kube-probe/. Every format has the fields @method, @status_class, @pod, @namespace and @container. Repeatable' -r
complete -c httpd-log-exporter -n "__fish_httpd_log_exporter_using_subcommand healthcheck" -l metrics.file -d 'YAML file with more rules, after the ones of flags: the lists labels, routes, drop, counters and histograms' -r -F
complete -c httpd-log-exporter -n "__fish_httpd_log_exporter_using_subcommand healthcheck" -l web.listen-address -d 'Address to listen on: host:port, :port, [v6]:port or unix:/path. Repeatable.' -r
complete -c httpd-log-exporter -n "__fish_httpd_log_exporter_using_subcommand healthcheck" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c httpd-log-exporter -n "__fish_httpd_log_exporter_using_subcommand completions" -l web.config.file -d 'Web configuration file with TLS, basic auth and headers, in the format of all Prometheus exporters' -r -F
complete -c httpd-log-exporter -n "__fish_httpd_log_exporter_using_subcommand completions" -l log.level -d 'Lowest severity to log' -r -f -a "error\t'Failures that stop the process or a part of it'
warn\t'Failures that the process survives'
info\t'Changes of the state'
debug\t'Details for a diagnosis'"
complete -c httpd-log-exporter -n "__fish_httpd_log_exporter_using_subcommand completions" -l log.format -d 'Format of log messages' -r -f -a "logfmt\t'`time=… level=INFO msg="…" key=value`'
json\t'`{"time":"…","level":"INFO","msg":"…","key":"value"}`'"
complete -c httpd-log-exporter -n "__fish_httpd_log_exporter_using_subcommand completions" -l access-log.format -d 'Format of the logs: a preset (combined, common, combined_time, combined_us, vhost_combined, ingress_nginx, traefik, traefik_json, caddy, haproxy, envoy, w3c, cloudfront, json, …), or nginx\'s log_format or Apache\'s LogFormat, copied from the server\'s configuration' -r -f -a "combined\t'the default of nginx and Apache; also matches common, and additional fields at the end'
common\t'the common log format of NCSA and Apache'
combined_time\t'combined, then nginx\'s $request_time'
combined_us\t'combined, then Apache\'s %D'
combinedio\t'combined, then Apache\'s %I and %O'
vhost_combined\t'Apache on Debian: virtual host and port, then combined'
vhost_common\t'virtual host, then common'
lighttpd\t'lighttpd\'s default'
ingress_nginx\t'the default of Kubernetes\' ingress-nginx'
traefik\t'Traefik\'s default'
traefik_json\t'Traefik with format: json'
caddy\t'Caddy\'s JSON'
haproxy\t'HAProxy with option httplog'
envoy\t'Envoy\'s default'
istio\t'Istio\'s default'
istio_json\t'Istio\'s and Envoy\'s JSON'
json\t'JSON objects whose keys are nginx variables or other common names'
ecs\t'JSON objects with the names of the Elastic Common Schema or of OpenTelemetry, nested or dotted'
cloudfront\t'CloudFront\'s standard logs, with tabs and a line #Fields:'
w3c\t'W3C extended logs with lines #Fields:, with time-taken in milliseconds as in IIS'
w3c_seconds\t'the same with time-taken in seconds, as in Tomcat'"
complete -c httpd-log-exporter -n "__fish_httpd_log_exporter_using_subcommand completions" -l access-log.regex -d 'Regular expression for logs that no format matches, with groups named status, request, bytes, request_time, …' -r
complete -c httpd-log-exporter -n "__fish_httpd_log_exporter_using_subcommand completions" -l access-log.container -d 'Unwrap container logs (Docker\'s json-file, CRI) and read this stream' -r -f -a "stdout\t'Read standard output'
stderr\t'Read standard error'
all\t'Read both'"
complete -c httpd-log-exporter -n "__fish_httpd_log_exporter_using_subcommand completions" -l metrics.label -d 'Label of requests, bytes and durations: the value of a field, or a value extracted from it with a regular expression, for example scheme=$scheme or browser=%{User-Agent}i~(Firefox|Chrome)=>$1; other if the expression does not match. Every format has the fields @method, @status_class, @pod, @namespace and @container. Repeatable' -r
complete -c httpd-log-exporter -n "__fish_httpd_log_exporter_using_subcommand completions" -l metrics.route -d 'Value of the label route: a name for paths that match a regular expression, for example api=^/api/, or a template, for example /users/:id. Repeatable; the first match wins, and other paths have the value other' -r
complete -c httpd-log-exporter -n "__fish_httpd_log_exporter_using_subcommand completions" -l metrics.counter -d 'Counter with the sum of a numeric field, for example httpd_upstream_received_bytes_total=$upstream_bytes_received. Repeatable' -r
complete -c httpd-log-exporter -n "__fish_httpd_log_exporter_using_subcommand completions" -l metrics.histogram -d 'Histogram of a numeric field, with upper bounds of its buckets, for example httpd_response_size_bytes=$body_bytes_sent:1000,10000,100000. Names that end in _seconds or _bytes have default buckets. Repeatable' -r
complete -c httpd-log-exporter -n "__fish_httpd_log_exporter_using_subcommand completions" -l access-log.drop -d 'Lines that are not counted as requests, such as health checks: a regular expression for a field, for example path~^/healthz$ or $http_user_agent~^kube-probe/. Every format has the fields @method, @status_class, @pod, @namespace and @container. Repeatable' -r
complete -c httpd-log-exporter -n "__fish_httpd_log_exporter_using_subcommand completions" -l metrics.file -d 'YAML file with more rules, after the ones of flags: the lists labels, routes, drop, counters and histograms' -r -F
complete -c httpd-log-exporter -n "__fish_httpd_log_exporter_using_subcommand completions" -l web.listen-address -d 'Address to listen on: host:port, :port, [v6]:port or unix:/path. Repeatable.' -r
complete -c httpd-log-exporter -n "__fish_httpd_log_exporter_using_subcommand completions" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c httpd-log-exporter -n "__fish_httpd_log_exporter_using_subcommand man" -l web.config.file -d 'Web configuration file with TLS, basic auth and headers, in the format of all Prometheus exporters' -r -F
complete -c httpd-log-exporter -n "__fish_httpd_log_exporter_using_subcommand man" -l log.level -d 'Lowest severity to log' -r -f -a "error\t'Failures that stop the process or a part of it'
warn\t'Failures that the process survives'
info\t'Changes of the state'
debug\t'Details for a diagnosis'"
complete -c httpd-log-exporter -n "__fish_httpd_log_exporter_using_subcommand man" -l log.format -d 'Format of log messages' -r -f -a "logfmt\t'`time=… level=INFO msg="…" key=value`'
json\t'`{"time":"…","level":"INFO","msg":"…","key":"value"}`'"
complete -c httpd-log-exporter -n "__fish_httpd_log_exporter_using_subcommand man" -l access-log.format -d 'Format of the logs: a preset (combined, common, combined_time, combined_us, vhost_combined, ingress_nginx, traefik, traefik_json, caddy, haproxy, envoy, w3c, cloudfront, json, …), or nginx\'s log_format or Apache\'s LogFormat, copied from the server\'s configuration' -r -f -a "combined\t'the default of nginx and Apache; also matches common, and additional fields at the end'
common\t'the common log format of NCSA and Apache'
combined_time\t'combined, then nginx\'s $request_time'
combined_us\t'combined, then Apache\'s %D'
combinedio\t'combined, then Apache\'s %I and %O'
vhost_combined\t'Apache on Debian: virtual host and port, then combined'
vhost_common\t'virtual host, then common'
lighttpd\t'lighttpd\'s default'
ingress_nginx\t'the default of Kubernetes\' ingress-nginx'
traefik\t'Traefik\'s default'
traefik_json\t'Traefik with format: json'
caddy\t'Caddy\'s JSON'
haproxy\t'HAProxy with option httplog'
envoy\t'Envoy\'s default'
istio\t'Istio\'s default'
istio_json\t'Istio\'s and Envoy\'s JSON'
json\t'JSON objects whose keys are nginx variables or other common names'
ecs\t'JSON objects with the names of the Elastic Common Schema or of OpenTelemetry, nested or dotted'
cloudfront\t'CloudFront\'s standard logs, with tabs and a line #Fields:'
w3c\t'W3C extended logs with lines #Fields:, with time-taken in milliseconds as in IIS'
w3c_seconds\t'the same with time-taken in seconds, as in Tomcat'"
complete -c httpd-log-exporter -n "__fish_httpd_log_exporter_using_subcommand man" -l access-log.regex -d 'Regular expression for logs that no format matches, with groups named status, request, bytes, request_time, …' -r
complete -c httpd-log-exporter -n "__fish_httpd_log_exporter_using_subcommand man" -l access-log.container -d 'Unwrap container logs (Docker\'s json-file, CRI) and read this stream' -r -f -a "stdout\t'Read standard output'
stderr\t'Read standard error'
all\t'Read both'"
complete -c httpd-log-exporter -n "__fish_httpd_log_exporter_using_subcommand man" -l metrics.label -d 'Label of requests, bytes and durations: the value of a field, or a value extracted from it with a regular expression, for example scheme=$scheme or browser=%{User-Agent}i~(Firefox|Chrome)=>$1; other if the expression does not match. Every format has the fields @method, @status_class, @pod, @namespace and @container. Repeatable' -r
complete -c httpd-log-exporter -n "__fish_httpd_log_exporter_using_subcommand man" -l metrics.route -d 'Value of the label route: a name for paths that match a regular expression, for example api=^/api/, or a template, for example /users/:id. Repeatable; the first match wins, and other paths have the value other' -r
complete -c httpd-log-exporter -n "__fish_httpd_log_exporter_using_subcommand man" -l metrics.counter -d 'Counter with the sum of a numeric field, for example httpd_upstream_received_bytes_total=$upstream_bytes_received. Repeatable' -r
complete -c httpd-log-exporter -n "__fish_httpd_log_exporter_using_subcommand man" -l metrics.histogram -d 'Histogram of a numeric field, with upper bounds of its buckets, for example httpd_response_size_bytes=$body_bytes_sent:1000,10000,100000. Names that end in _seconds or _bytes have default buckets. Repeatable' -r
complete -c httpd-log-exporter -n "__fish_httpd_log_exporter_using_subcommand man" -l access-log.drop -d 'Lines that are not counted as requests, such as health checks: a regular expression for a field, for example path~^/healthz$ or $http_user_agent~^kube-probe/. Every format has the fields @method, @status_class, @pod, @namespace and @container. Repeatable' -r
complete -c httpd-log-exporter -n "__fish_httpd_log_exporter_using_subcommand man" -l metrics.file -d 'YAML file with more rules, after the ones of flags: the lists labels, routes, drop, counters and histograms' -r -F
complete -c httpd-log-exporter -n "__fish_httpd_log_exporter_using_subcommand man" -l web.listen-address -d 'Address to listen on: host:port, :port, [v6]:port or unix:/path. Repeatable.' -r
complete -c httpd-log-exporter -n "__fish_httpd_log_exporter_using_subcommand man" -s h -l help -d 'Print help (see more with \'--help\')'
