// The mixin: Prometheus rules and Grafana dashboards, configured by _config. See docs/mixin.md.
{
  _config:: import 'config.libsonnet',

  local files = (import 'rules.libsonnet')($._config),
  local groups(field) = {
    groups: [
      group { rules: rules }
      for file in std.objectFields(files)
      for group in files[file].groups
      for rules in [[rule for rule in group.rules if std.objectHas(rule, field)]]
      if rules != []
    ],
  },

  // The rule files by name, for example cpu. Each has groups, and comments as hidden fields.
  ruleFiles:: files,
  // The same, as other mixins name them.
  prometheusAlerts+:: groups('alert'),
  prometheusRules+:: groups('record'),
  grafanaDashboards+:: (import 'dashboards.libsonnet')($._config),
}
