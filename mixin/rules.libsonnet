// The rule files of a configuration: parameters replaced, and links added to every alert.
local parameters = import 'parameters.libsonnet';

function(config)
  local expand = parameters.expand(config);

  local complete(rule) =
    rule
    { expr: expand(rule.expr) }
    + if std.objectHas(rule, 'alert') then {
      annotations: {
        summary: expand(rule.annotations.summary),
        description: expand(rule.annotations.description),
        runbook_url: config.runbookURLPattern % rule.alert,
        dashboard_url: '%s/d/%s' % [config.grafanaURL, rule.dashboard],
      },
    } else {};

  std.mapWithKey(
    function(name, file) file { groups: [group { rules: std.map(complete, group.rules) } for group in file.groups] },
    {
      'app-status': import 'rules/app-status.libsonnet',
      cpu: import 'rules/cpu.libsonnet',
      exporters: import 'rules/exporters.libsonnet',
      'httpd-log': (import 'rules/httpd-log.libsonnet')(config),
      monitoring: import 'rules/monitoring.libsonnet',
      queue: import 'rules/queue.libsonnet',
    }
  )
