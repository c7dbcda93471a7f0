// Rules for HTTP servers, monitored through their access logs by httpd-log-exporter.
local number = (import '../parameters.libsonnet').number;

function(config) {
  local objectives = (import 'objectives.libsonnet')(config),
  local default = config.objectives[0],
  local percent(share) = number(share * 100) + ' %',

  comment:: |||
    Rules for HTTP servers, monitored through their access logs by httpd-log-exporter.

    Objectives over 30 days: at most %s of the requests fail with a server error, and at most %s take longer than %s s. For other
    objectives, see docs/mixin.md. An alert fires when the error budget burns too fast over a long window (the problem is
    significant) and over a short window (the problem continues). Servers with little traffic are excluded, because a single
    error would be enough there.

    Each service has its own objective. A service is identified by all labels of its targets except those that identify a
    replica (instance, pod, node, container, endpoint): the job, the namespace, your own label "service", the virtual host.

    Critical alerts keep firing for 10 minutes after their last sample. Without this, an alert would resolve when its exporter
    stops, although nothing was fixed. ExporterDown and ExporterAbsent fire within these 10 minutes.
  ||| % [percent(default.errors), percent(default.slow), default.seconds],
  groups: [
    { name: 'httpd-log-records-short', rules: objectives.records(true) },
    {
      comment:: |||
        Long windows change slowly, so they are evaluated less often.
      |||,
      name: 'httpd-log-records-long',
      interval: '1m',
      rules: objectives.records(false),
    },
    {
      name: 'httpd-log-records-lines',
      rules: [
        {
          record: 'source:httpd_log_lines:rate5m',
          expr: 'sum without (result) (rate(httpd_log_lines_total${httpdLog}[5m]))',
        },
        {
          comment:: |||
            The minimum within 30 minutes of this time one week ago, or one day ago if there is no older data.
          |||,
          record: 'source:httpd_log_lines:usual_rate5m',
          expr: |||
            min_over_time(source:httpd_log_lines:rate5m[1h] offset 167h30m)
              or min_over_time(source:httpd_log_lines:rate5m[1h] offset 23h30m)
          |||,
        },
      ],
    },
    { name: 'httpd-log-objectives', rules: objectives.alerts },
    {
      name: 'httpd-log-alerts',
      rules: [
        {
          comment:: |||
            For little traffic, where the objectives above do not apply: more than ten requests fail, and most of them do.
          |||,
          alert: 'HttpdMostRequestsFail',
          expr: |||
            job:http_request_failures_per_http_requests:ratio_rate30m > ${HttpdMostRequestsFail}
              and job:http_request_failures:rate30m > 10 / 1800
              unless job:http_requests:rate1h > ${minimumRate}
          |||,
          'for': '2m',
          keep_firing_for: '10m',
          labels: { severity: 'critical', component: 'httpd-log', instance: 'all' },
          dashboard:: 'exporters-httpd-log?var-job={{ $labels.job }}',
          annotations: {
            summary: '{{ $value | humanizePercentage }} of the few requests of ${theService} fail',
            description: 'Over the last 30m, {{ $value | humanizePercentage }} of the requests of ${theService} failed with a server error, more than ten of them. Traffic is low: less than one request in ten seconds.',
          },
        },
        {
          alert: 'HttpdLogBlind',
          expr: 'httpd_log_source_up${httpdLog} == 0',
          'for': '5m',
          keep_firing_for: '10m',
          labels: { severity: 'critical', component: 'httpd-log' },
          dashboard:: 'exporters-httpd-log?var-job={{ $labels.job }}&var-instance={{ $labels.instance }}',
          annotations: {
            summary: '{{ $labels.instance }} cannot open the log {{ $labels.source }}',
            description: '{{ $labels.source }} is missing, or {{ $labels.instance }} may not read it (httpd_log_source_up is {{ $value }}). Requests are not counted unless the server still writes to the file that the exporter holds open, so alerts on errors and latency may not fire.',
          },
        },
        {
          comment:: |||
            No lines at an hour that was never silent one week ago (or yesterday, if there is no older data). Once it fires, it
            lasts until lines arrive, even through hours that are usually silent. On a log's first day there is no comparison: the
            log must have been busy in the last 6 hours and silent for longer.
          |||,
          alert: 'HttpdLogSilent',
          expr: |||
            (source:httpd_log_lines:rate5m == 0 and (source:httpd_log_lines:usual_rate5m > 0.1
                or sum without (result) (rate(httpd_log_lines_total${httpdLog}[6h])) > 0.1
                  and sum without (result) (rate(httpd_log_lines_total${httpdLog}[30m])) == 0
                  unless source:httpd_log_lines:usual_rate5m)
              or source:httpd_log_lines:rate5m == 0 and source:httpd_log_lines:usual_rate5m
                and on (job, instance, source) ALERTS{alertname="HttpdLogSilent",alertstate="firing"})
              unless httpd_log_source_up${httpdLog} == 0
          |||,
          'for': '5m',
          keep_firing_for: '10m',
          labels: { severity: 'critical', component: 'httpd-log' },
          dashboard:: 'exporters-httpd-log?var-job={{ $labels.job }}&var-instance={{ $labels.instance }}',
          annotations: {
            summary: 'No lines are written to {{ $labels.source }} on {{ $labels.instance }}',
            description: '{{ $labels.source }} received {{ $value | humanize }} lines per second in the last 5 minutes{{ with printf "source:httpd_log_lines:usual_rate5m{job=%q,instance=%q,source=%q} > 0" $labels.job $labels.instance $labels.source | query }}, at least {{ . | first | value | humanize }} are usual at this hour{{ end }}. No requests arrive, the server is down, or it logs elsewhere.',
          },
        },
        {
          alert: 'HttpdLogBehind',
          expr: 'httpd_log_lag_seconds${httpdLog} > ${HttpdLogBehind}',
          'for': '5m',
          labels: { severity: 'warning', component: 'httpd-log' },
          dashboard:: 'exporters-httpd-log?var-job={{ $labels.job }}&var-instance={{ $labels.instance }}',
          annotations: {
            summary: '{{ $labels.instance }} reads {{ $labels.source }} {{ $value | humanizeDuration }} late',
            description: 'The lines of {{ $labels.source }} that {{ $labels.instance }} reads now were written {{ $value | humanizeDuration }} ago, so rates and alerts show the past.',
          },
        },
        {
          comment:: |||
            If the time of the last line read is unknown or recent.
          |||,
          alert: 'HttpdLogUnread',
          expr: 'httpd_log_lag_bytes${httpdLog} > ${HttpdLogUnread} unless httpd_log_lag_seconds${httpdLog} > ${HttpdLogBehind}',
          'for': '10m',
          labels: { severity: 'warning', component: 'httpd-log' },
          dashboard:: 'exporters-httpd-log?var-job={{ $labels.job }}&var-instance={{ $labels.instance }}',
          annotations: {
            summary: '{{ $labels.instance }} has not read {{ $value | humanize1024 }}B of {{ $labels.source }}',
            description: 'More than ${mebibytesHttpdLogUnread} MiB of {{ $labels.source }} have been unread by {{ $labels.instance }} for 10 minutes (now {{ $value | humanize1024 }}B).',
          },
        },
        {
          alert: 'HttpdLogMalformed',
          expr: |||
            sum without (result) (rate(httpd_log_lines_total{result!~"matched|dropped"${,httpdLog}}[5m]))
              / sum without (result) (rate(httpd_log_lines_total{result!="dropped"${,httpdLog}}[5m])) > ${HttpdLogMalformed}
          |||,
          'for': '10m',
          labels: { severity: 'warning', component: 'httpd-log' },
          dashboard:: 'exporters-httpd-log?var-job={{ $labels.job }}&var-instance={{ $labels.instance }}',
          annotations: {
            summary: '{{ $value | humanizePercentage }} of the lines of {{ $labels.source }} cannot be parsed',
            description: '{{ $value | humanizePercentage }} of the lines that {{ $labels.instance }} reads from {{ $labels.source }} do not match the configured format, are too long or contain invalid values. Their requests or values are missing from every graph.',
          },
        },
        {
          comment:: |||
            The counter is in the state file, so a loss that is found at a start is an increase.
          |||,
          alert: 'HttpdLogLinesLost',
          expr: 'increase(httpd_log_lost_bytes_total${httpdLog}[15m]) > 0',
          keep_firing_for: '15m',
          labels: { severity: 'warning', component: 'httpd-log' },
          dashboard:: 'exporters-httpd-log?var-job={{ $labels.job }}&var-instance={{ $labels.instance }}',
          annotations: {
            summary: '{{ $labels.instance }} lost lines of {{ $labels.source }}',
            description: '{{ $value | humanize1024 }}B of {{ $labels.source }} were deleted or overwritten before {{ $labels.instance }} read them. Their requests are missing from every graph.',
          },
        },
      ],
    },
  ],
}
