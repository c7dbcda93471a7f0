// Rules for Prometheus and Alertmanager. If they are monitored already, as with kube-prometheus, do not load this file.
{
  comment:: |||
    Rules for Prometheus and Alertmanager. If they are monitored already, as with kube-prometheus, do not load this file.
  |||,
  groups: [
    {
      name: 'monitoring',
      rules: [
        {
          comment:: |||
            This alert always fires. Alertmanager forwards it to a heartbeat service, which pages when the messages stop. Only this
            detects that Prometheus or the only Alertmanager is down.
          |||,
          alert: 'Watchdog',
          expr: 'vector(1)',
          labels: { severity: 'none', component: 'monitoring' },
          dashboard:: 'exporters-overview?var-job=$__all',
          annotations: {
            summary: 'Alerts are evaluated and delivered',
            description: 'This alert always fires (its value is {{ $value }}) and proves that alerts are delivered. Its absence is the fault.',
          },
        },
        {
          alert: 'MonitoringDown',
          expr: 'up${monitoring} == 0',
          'for': '5m',
          labels: { severity: 'critical', component: 'monitoring' },
          dashboard:: 'exporters-overview?var-job={{ $labels.job }}&var-instance={{ $labels.instance }}',
          annotations: {
            summary: '{{ $labels.job }} on {{ $labels.instance }} is down',
            description: 'Prometheus cannot scrape {{ $labels.job }} at {{ $labels.instance }} (up is {{ $value }}), so alerts may not be delivered.',
          },
        },
        {
          alert: 'MonitoringRulesFailing',
          expr: 'increase(prometheus_rule_evaluation_failures_total[15m]) > 0',
          labels: { severity: 'critical', component: 'monitoring' },
          dashboard:: 'exporters-overview?var-job={{ $labels.job }}&var-instance={{ $labels.instance }}',
          annotations: {
            summary: 'Prometheus fails to evaluate rules of {{ $labels.rule_group }}',
            description: '{{ $value | humanize }} evaluations of rules of {{ $labels.rule_group }} failed on {{ $labels.instance }} in the last 15 minutes, so their alerts cannot fire.',
          },
        },
        {
          comment:: |||
            If evaluating a group takes longer than its interval, Prometheus skips evaluations.
          |||,
          alert: 'MonitoringRulesLate',
          expr: 'increase(prometheus_rule_group_iterations_missed_total[15m]) > ${MonitoringRulesLate}',
          labels: { severity: 'warning', component: 'monitoring' },
          dashboard:: 'exporters-overview?var-job={{ $labels.job }}&var-instance={{ $labels.instance }}',
          annotations: {
            summary: 'Prometheus evaluates rules of {{ $labels.rule_group }} late',
            description: '{{ $labels.instance }} skipped {{ $value | humanize }} evaluations of {{ $labels.rule_group }} in the last 15 minutes. Its alerts fire late, and its recorded series have gaps.',
          },
        },
        {
          comment:: |||
            From Prometheus to Alertmanager, for longer than a restart takes; and from Alertmanager to its receivers, by integration.
          |||,
          alert: 'MonitoringNotificationsFailing',
          expr: |||
            increase(prometheus_notifications_errors_total[5m]) > 0
                and increase(prometheus_notifications_errors_total[5m] offset 10m) > 0
              or sum without (reason) (increase(alertmanager_notifications_failed_total[15m])) > 0
          |||,
          labels: { severity: 'critical', component: 'monitoring' },
          dashboard:: 'exporters-overview?var-job={{ $labels.job }}&var-instance={{ $labels.instance }}',
          annotations: {
            summary: '{{ $labels.job }} on {{ $labels.instance }} cannot deliver alerts{{ with $labels.alertmanager }} to {{ . }}{{ end }}{{ with $labels.integration }} through {{ . }}{{ end }}',
            description: '{{ $labels.job }} on {{ $labels.instance }} failed to deliver alerts {{ $value | humanize }} times in the last minutes. Critical alerts may not page anyone.',
          },
        },
        {
          alert: 'MonitoringConfigReloadFailed',
          expr: 'prometheus_config_last_reload_successful == 0 or alertmanager_config_last_reload_successful == 0',
          'for': '5m',
          labels: { severity: 'warning', component: 'monitoring' },
          dashboard:: 'exporters-overview?var-job={{ $labels.job }}&var-instance={{ $labels.instance }}',
          annotations: {
            summary: '{{ $labels.job }} on {{ $labels.instance }} rejected its new configuration',
            description: 'The configuration of {{ $labels.job }} on {{ $labels.instance }} is invalid (last reload successful: {{ $value }}). The previous one remains in effect until a restart, which will fail.',
          },
        },
      ],
    },
  ],
}
