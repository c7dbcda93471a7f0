// An example configuration. Everything that it does not name keeps the default of mixin/config.libsonnet.
{
  // Only the targets of production.
  httpdLogSelector: 'environment="production"',
  queueSelector: 'environment="production"',
  clusterLabel: 'region',
  serviceLabels: ['namespace', 'service', 'team'],

  objectives: [
    { selector: '', errors: 0.001, slow: 0.01, seconds: '0.5' },
    // Checkout must be better: 1 failure in 10,000 requests, and a quarter of a second.
    { selector: 'service="checkout"', errors: 0.0001, slow: 0.01, seconds: '0.25' },
  ],
  burnRates: [
    { severity: 'critical', factor: 14.4, long: '1h', short: '5m', 'for': '2m' },
    { severity: 'warning', factor: 1, long: '3d', short: '6h', 'for': '3h' },
  ],
  thresholds+: { QueueBacklogHigh: 5000, CpuBusy: 0.9 },

  runbookURLPattern: 'https://wiki.example.com/runbooks/%s',
  grafanaURL: 'https://grafana.example.com',
  minInterval: '30s',
  prometheusRuleLabels: { release: 'kube-prometheus' },
  dashboardLabels: { grafana_dashboard: 'exporters' },
}
