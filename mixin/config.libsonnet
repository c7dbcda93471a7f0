// The configuration: change it in your own file, as docs/mixin.md shows. Its defaults render the committed files.
{
  // Selectors, inserted into every selector of an exporter's metrics, such as 'environment="production"'. Empty: all metrics.
  cpuSelector: '',
  httpdLogSelector: '',
  appStatusSelector: '',
  queueSelector: '',
  // Targets that must be exporters, even if they never returned a *_build_info. All others are recognized by it.
  exporterJobsSelector: 'job=~"(.+[-_/])?(cpu|httpd-log|app-status|queue)-exporter"',
  // Prometheus and Alertmanager.
  monitoringSelector: 'job=~"prometheus|alertmanager"',

  // The label that distinguishes clusters, and further labels that identify a service.
  clusterLabel: 'cluster',
  serviceLabels: ['namespace', 'service'],
  // The labels that identify a replica. All other labels of a target identify its service.
  replicaLabels: ['instance', 'pod', 'node', 'container', 'endpoint'],

  // Objectives of HTTP servers over 30 days: the allowed share of failed requests, and of requests slower than `seconds`, which
  // must be a bucket (--metrics.buckets). The first applies to all services that no other selects:
  // { selector: 'service="checkout"', errors: 0.0001, slow: 0.01, seconds: '0.25' }
  objectives: [
    { selector: '', errors: 0.001, slow: 0.01, seconds: '0.5' },
  ],
  // Services with fewer requests per second have no objective: a single error would be enough to miss it.
  objectiveMinimumRate: 0.1,
  // An objective's alert fires if its error budget burns `factor` times too fast over both windows.
  burnRates: [
    { severity: 'critical', factor: 14.4, long: '1h', short: '5m', 'for': '2m' },
    { severity: 'critical', factor: 6, long: '6h', short: '30m', 'for': '15m' },
    { severity: 'warning', factor: 3, long: '1d', short: '2h', 'for': '1h' },
    { severity: 'warning', factor: 1, long: '3d', short: '6h', 'for': '3h' },
  ],

  // Limits of alerts, in base units: seconds, bytes, shares. Dashboards color their panels by the same limits.
  thresholds: {
    AppBacklog: 20,
    AppFlapping: 4,
    AppRestarting: 3,
    AppStatusSlow: 1,
    CpuBusy: 0.95,
    CpuHot: 5,
    CpuLoadHigh: 2,
    CpuSaturated: 0.3,
    CpuServiceThrottled: 0.25,
    CpuStealHigh: 0.1,
    CpuThrottled: 0.25,
    ExporterCertificateExpiring: 604800,
    ExporterCrashLooping: 2,
    ExporterFlapping: 6,
    ExporterScrapeSlow: 4,
    ExporterSeriesMany: 50000,
    ExporterSeriesManyQueues: 250000,
    HttpdLogBehind: 60,
    HttpdLogMalformed: 0.01,
    HttpdLogUnread: 16777216,
    HttpdMostRequestsFail: 0.5,
    MonitoringRulesLate: 3,
    QueueBacklogHigh: 1000,
    QueueBrokerNearLimit: 0.9,
    QueueFailuresHigh: 0.2,
    QueueGrowing: 600,
    QueueGrowingMessages: 100,
    QueueNearlyFull: 0.9,
    QueueReplicaLagging: 1000,
    QueueOldestMessageTooOld: 300,
  },

  // Addresses in alerts and on dashboards: of a runbook (%s is the alert), and of Grafana.
  runbookURLPattern: 'https://exporters.example/runbooks/%s.html',
  grafanaURL: 'http://localhost:3000',
  // The minimum interval of graphs: the longest scrape interval.
  minInterval: '1m',

  // Kubernetes: labels of PrometheusRules, and of ConfigMaps with dashboards (the one that Grafana's sidecar watches).
  prometheusRuleLabels: { 'app.kubernetes.io/part-of': 'monitoring' },
  dashboardLabels: { grafana_dashboard: '1' },
}
