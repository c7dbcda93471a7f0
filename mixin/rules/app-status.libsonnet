// Rules for applications with a status page, monitored by app-status-exporter.
{
  comment:: |||
    Rules for applications with a status page, monitored by app-status-exporter.

    Critical alerts keep firing for 10 minutes after their last sample. Without this, an alert would resolve when its exporter
    stops, although nothing was fixed. ExporterDown and ExporterAbsent fire within these 10 minutes.
  |||,
  groups: [
    {
      name: 'app-status-records',
      rules: [
        {
          comment:: |||
            Share of the instances that report healthy. Instances that report nothing are not counted.
          |||,
          record: 'job:app_health:healthy_ratio',
          expr: 'avg without (instance, app_health) (app_health{app_health="healthy"${,appStatus}})',
        },
      ],
    },
    {
      name: 'app-status-alerts',
      rules: [
        {
          alert: 'AppUnhealthy',
          expr: 'app_health{app_health="unhealthy"${,appStatus}} == 1',
          'for': '2m',
          keep_firing_for: '10m',
          labels: { severity: 'critical', component: 'app-status' },
          dashboard:: 'exporters-app-status?var-job={{ $labels.job }}&var-instance={{ $labels.instance }}',
          annotations: {
            summary: 'The application at {{ $labels.instance }} reports unhealthy',
            description: 'The status page of the application monitored by {{ $labels.instance }} reports unhealthy (app_health is {{ $value }}).',
          },
        },
        {
          comment:: |||
            Allow a slow start: the first 5 minutes of the exporter do not count until the application has responded once.
          |||,
          alert: 'AppNotReporting',
          expr: |||
            exporter_scrape_success{collector="app_status"} == 0
              unless on (job, instance) (time() - process_start_time_seconds < 300
                unless on (job, instance) exporter_last_success_timestamp_seconds{collector="app_status"})
          |||,
          'for': '2m',
          keep_firing_for: '10m',
          labels: { severity: 'critical', component: 'app-status' },
          dashboard:: 'exporters-app-status?var-job={{ $labels.job }}&var-instance={{ $labels.instance }}',
          annotations: {
            summary: 'The application at {{ $labels.instance }} returns no valid status page',
            description: 'The exporter at {{ $labels.instance }} runs, but its application returns no valid status page (success is {{ $value }}): it is down, hangs, or returns another page.',
          },
        },
        {
          alert: 'AppFlapping',
          expr: 'changes(app_health{app_health="healthy"${,appStatus}}[30m]) > ${AppFlapping}',
          labels: { severity: 'warning', component: 'app-status' },
          dashboard:: 'exporters-app-status?var-job={{ $labels.job }}&var-instance={{ $labels.instance }}',
          annotations: {
            summary: 'The health of the application at {{ $labels.instance }} changed {{ $value | humanize }} times in 30 minutes',
            description: 'The application monitored by {{ $labels.instance }} changed between healthy and unhealthy {{ $value | humanize }} times in the last 30 minutes.',
          },
        },
        {
          alert: 'AppRestarting',
          expr: 'resets(app_uptime${appStatus}[1h]) > ${AppRestarting}',
          labels: { severity: 'warning', component: 'app-status' },
          dashboard:: 'exporters-app-status?var-job={{ $labels.job }}&var-instance={{ $labels.instance }}',
          annotations: {
            summary: 'The application at {{ $labels.instance }} restarted {{ $value | humanize }} times in an hour',
            description: 'The uptime of the application monitored by {{ $labels.instance }} was reset {{ $value | humanize }} times in the last hour.',
          },
        },
        {
          alert: 'AppBacklog',
          expr: 'app_requests_pending${appStatus} > ${AppBacklog}',
          'for': '5m',
          labels: { severity: 'warning', component: 'app-status' },
          dashboard:: 'exporters-app-status?var-job={{ $labels.job }}&var-instance={{ $labels.instance }}',
          annotations: {
            summary: '{{ $value | humanize }} requests are waiting at {{ $labels.instance }}',
            description: '{{ $value | humanize }} requests are waiting for the application monitored by {{ $labels.instance }}: they arrive faster than it processes them.',
          },
        },
        {
          alert: 'AppStatusSlow',
          expr: |||
            exporter_scrape_duration_seconds{collector="app_status"} > ${AppStatusSlow}
              and exporter_scrape_success{collector="app_status"} == 1
          |||,
          'for': '10m',
          labels: { severity: 'warning', component: 'app-status' },
          dashboard:: 'exporters-app-status?var-job={{ $labels.job }}&var-instance={{ $labels.instance }}',
          annotations: {
            summary: 'The status page of {{ $labels.instance }} takes {{ $value | humanizeDuration }}',
            description: 'The application monitored by {{ $labels.instance }} takes {{ $value | humanizeDuration }} to return its status page, which is cheap for a healthy application.',
          },
        },
      ],
    },
  ],
}
