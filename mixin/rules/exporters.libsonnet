// Rules for all exporters, whatever their jobs are called.
{
  comment:: |||
    Rules for all exporters, whatever their jobs are called.
  |||,
  groups: [
    {
      name: 'exporters-records',
      rules: [
        {
          record: 'instance:exporter_build_info:count',
          expr: |||
            count without (version, revision, rustc) (cpu_exporter_build_info${cpu} or httpd_log_exporter_build_info${httpdLog}
              or app_status_exporter_build_info${appStatus} or queue_exporter_build_info${queue})
          |||,
        },
        {
          comment:: |||
            Targets that are exporters, with the value of up: targets that return a *_build_info, targets that did before, and
            targets whose job is named after an exporter. The names cover exporters that never responded.
          |||,
          record: 'instance:exporter_up:known',
          expr: |||
            up and on (job, instance, pod) instance:exporter_build_info:count
              or up and on (job, instance, pod) last_over_time(instance:exporter_up:known[10m])
              or up${exporterJobs}
          |||,
        },
        {
          record: 'job:exporter_up:count',
          expr: 'count by (job, ${cluster}) (instance:exporter_up:known)',
        },
      ],
    },
    {
      name: 'exporters',
      rules: [
        {
          alert: 'ExporterDown',
          expr: 'instance:exporter_up:known == 0',
          'for': '5m',
          labels: { severity: 'warning', component: 'exporter' },
          dashboard:: 'exporters-overview?var-job={{ $labels.job }}&var-instance={{ $labels.instance }}',
          annotations: {
            summary: '{{ $labels.job }} on {{ $labels.instance }} is down',
            description: 'Prometheus cannot scrape {{ $labels.instance }} (up is {{ $value }}), so the alerts of this exporter cannot fire.',
          },
        },
        {
          comment:: |||
            Critical if a critical alert of this exporter was firing when it stopped: that alert resolves although nothing was
            fixed. Alerts on a service have instance="all". While this alert fires, it matches itself, so it lasts until the
            exporter responds.
          |||,
          alert: 'ExporterDown',
          expr: |||
            instance:exporter_up:known == 0
                and on (job, instance) ALERTS{alertstate="firing",severity="critical"}
              or instance:exporter_up:known == 0
                and on (job, ${cluster}, ${service}) ALERTS{alertstate="firing",severity="critical",instance="all"}
          |||,
          'for': '5m',
          labels: { severity: 'critical', component: 'exporter' },
          dashboard:: 'exporters-overview?var-job={{ $labels.job }}&var-instance={{ $labels.instance }}',
          annotations: {
            summary: '{{ $labels.job }} on {{ $labels.instance }} is down, and a critical alert was firing',
            description: 'Prometheus cannot scrape {{ $labels.instance }} (up is {{ $value }}). A critical alert was firing when it stopped. If that alert resolves now, do not assume that it was fixed.',
          },
        },
        {
          comment:: |||
            If every other scrape fails, no other alert lasts long enough to fire. One restart counts as two changes.
          |||,
          alert: 'ExporterFlapping',
          expr: 'changes(instance:exporter_up:known[30m]) > ${ExporterFlapping}',
          labels: { severity: 'warning', component: 'exporter' },
          dashboard:: 'exporters-overview?var-job={{ $labels.job }}&var-instance={{ $labels.instance }}',
          annotations: {
            summary: 'Scrapes of {{ $labels.job }} on {{ $labels.instance }} fail intermittently',
            description: 'Scrapes of {{ $labels.instance }} changed between success and failure {{ $value | humanize }} times in the last 30 minutes. Graphs have gaps, and each gap resets the waiting time of alerts.',
          },
        },
        {
          comment:: |||
            Status pages, queue systems and missing logs have their own alerts.
          |||,
          alert: 'ExporterScrapeFailing',
          expr: |||
            exporter_scrape_success{collector!~"app_status|queue"} == 0
              unless on (job, instance) httpd_log_source_up${httpdLog} == 0
          |||,
          'for': '5m',
          labels: { severity: 'warning', component: 'exporter' },
          dashboard:: 'exporters-overview?var-job={{ $labels.job }}&var-instance={{ $labels.instance }}',
          annotations: {
            summary: 'Collector {{ $labels.collector }} of {{ $labels.instance }} cannot read its source',
            description: 'Collector {{ $labels.collector }} of {{ $labels.instance }} fails (exporter_scrape_success is {{ $value }}), so its metrics are missing. The exporter logs the reason.',
          },
        },
        {
          comment:: |||
            The scrape timeout is 5 s, and exporters stop collecting 0.5 s before. An exporter that hangs is down; a source that
            hangs has its own alert.
          |||,
          alert: 'ExporterScrapeSlow',
          expr: |||
            scrape_duration_seconds > ${ExporterScrapeSlow} and on (job, instance, pod) instance:exporter_up:known == 1
              unless on (job, instance) exporter_scrape_success{collector=~"app_status|queue"} == 0
          |||,
          'for': '10m',
          labels: { severity: 'warning', component: 'exporter' },
          dashboard:: 'exporters-overview?var-job={{ $labels.job }}&var-instance={{ $labels.instance }}',
          annotations: {
            summary: 'A scrape of {{ $labels.instance }} takes {{ $value | humanizeDuration }}',
            description: 'Scrapes of {{ $labels.job }} on {{ $labels.instance }} take {{ $value | humanizeDuration }}, close to the timeout. Beyond it, metrics are missing.',
          },
        },
        {
          alert: 'ExporterConfigReloadFailed',
          expr: 'exporter_config_last_reload_successful == 0',
          'for': '5m',
          labels: { severity: 'warning', component: 'exporter' },
          dashboard:: 'exporters-overview?var-job={{ $labels.job }}&var-instance={{ $labels.instance }}',
          annotations: {
            summary: '{{ $labels.instance }} rejected its new configuration',
            description: 'A configuration file of {{ $labels.job }} on {{ $labels.instance }} is invalid (exporter_config_last_reload_successful is {{ $value }}). The previous one remains in effect until the next start, which will fail.',
          },
        },
        {
          alert: 'ExporterCertificateExpiring',
          expr: 'exporter_tls_certificate_expiry_timestamp_seconds - time() < ${ExporterCertificateExpiring}',
          'for': '15m',
          labels: { severity: 'warning', component: 'exporter' },
          dashboard:: 'exporters-overview?var-job={{ $labels.job }}&var-instance={{ $labels.instance }}',
          annotations: {
            summary: 'The certificate of {{ $labels.instance }} expires in {{ $value | humanizeDuration }}',
            description: 'The TLS certificate of {{ $labels.job }} on {{ $labels.instance }} expires in {{ $value | humanizeDuration }}. After that, Prometheus refuses to scrape it. A negative time means that it has expired.',
          },
        },
        {
          alert: 'ExporterCrashLooping',
          expr: 'changes(process_start_time_seconds[30m]) > ${ExporterCrashLooping} and on (job, instance, pod) instance:exporter_up:known',
          labels: { severity: 'warning', component: 'exporter' },
          dashboard:: 'exporters-overview?var-job={{ $labels.job }}&var-instance={{ $labels.instance }}',
          annotations: {
            summary: '{{ $labels.job }} on {{ $labels.instance }} restarted {{ $value | humanize }} times in 30 minutes',
            description: '{{ $labels.job }} on {{ $labels.instance }} restarted {{ $value | humanize }} times in the last 30 minutes. Its counters restart from 0 each time.',
          },
        },
        {
          comment:: |||
            A tenth of the sample_limit of deploy/kubernetes, and half of it for 10,000 queues. See docs/scaling.md.
          |||,
          alert: 'ExporterSeriesMany',
          expr: |||
            scrape_samples_scraped > ${ExporterSeriesMany} and on (job, instance, pod) instance:exporter_up:known
                unless on (job, instance, pod) queue_exporter_build_info${queue}
              or scrape_samples_scraped > ${ExporterSeriesManyQueues} and on (job, instance, pod) queue_exporter_build_info${queue}
          |||,
          'for': '15m',
          labels: { severity: 'warning', component: 'exporter' },
          dashboard:: 'exporters-overview?var-job={{ $labels.job }}&var-instance={{ $labels.instance }}',
          annotations: {
            summary: '{{ $labels.instance }} returns {{ $value | humanize }} series',
            description: 'A scrape of {{ $labels.job }} on {{ $labels.instance }} returns {{ $value | humanize }} samples, which need memory and disk of Prometheus.',
          },
        },
        {
          alert: 'ExporterSeriesLost',
          expr: 'increase(exporter_duplicate_series_total[15m]) > 0',
          labels: { severity: 'warning', component: 'exporter' },
          dashboard:: 'exporters-overview?var-job={{ $labels.job }}&var-instance={{ $labels.instance }}',
          annotations: {
            summary: '{{ $labels.instance }} dropped duplicate series',
            description: '{{ $labels.job }} on {{ $labels.instance }} dropped {{ $value | humanize }} series in the last 15 minutes because their names and labels were not unique. The first of each was kept.',
          },
        },
        {
          comment:: |||
            The target responds, but not with an exporter's metrics: another program uses the port.
          |||,
          alert: 'ExporterWrongProgram',
          expr: 'instance:exporter_up:known == 1 unless on (job, instance, pod) instance:exporter_build_info:count',
          'for': '5m',
          labels: { severity: 'warning', component: 'exporter' },
          dashboard:: 'exporters-overview?var-job={{ $labels.job }}&var-instance={{ $labels.instance }}',
          annotations: {
            summary: '{{ $labels.instance }} responds, but not with the metrics of {{ $labels.job }}',
            description: 'Prometheus scrapes {{ $labels.instance }} successfully (up is {{ $value }}), but the response contains no *_build_info of an exporter. Another program uses this port, so nothing is monitored.',
          },
        },
        {
          comment:: |||
            All targets of a job are down, or a job that had exporters in the last day has no target left. A kind of exporter that
            never ran here does not fire. The value is the number of targets.
          |||,
          alert: 'ExporterAbsent',
          expr: |||
            job:exporter_up:count unless sum by (job, ${cluster}) (instance:exporter_up:known) > 0
              or 0 * (max_over_time(job:exporter_up:count[1d]) unless job:exporter_up:count)
          |||,
          'for': '5m',
          labels: { severity: 'critical', component: 'exporter', instance: 'none' },
          dashboard:: 'exporters-overview?var-job={{ $labels.job }}',
          annotations: {
            summary: 'No exporter of the job {{ $labels.job }} responds ({{ $value | humanize }} targets)',
            description: 'None of the {{ $value | humanize }} targets of the job {{ $labels.job }} responds, so nothing of this kind is monitored. Its alerts resolve within minutes although nothing was fixed.',
          },
        },
      ],
    },
  ],
}
