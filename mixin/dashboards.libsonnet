// The dashboards of a configuration. The files in grafana/dashboards are those of the default configuration; only what depends on
// the configuration is replaced in them.
local default = import 'config.libsonnet';

local sources = {
  'app-status': import '../grafana/dashboards/app-status.json',
  cpu: import '../grafana/dashboards/cpu.json',
  'httpd-log': import '../grafana/dashboards/httpd-log.json',
  overview: import '../grafana/dashboards/overview.json',
  queue: import '../grafana/dashboards/queue.json',
};

// The address of a runbook before and after the name of its alert.
local around(config) = std.split(std.strReplace(config.runbookURLPattern, '%s', '\n'), '\n');
local nameIn(url) =
  local parts = around(default);
  assert std.startsWith(url, parts[0]) && std.endsWith(url, parts[1]) : url + ': not a runbook';
  std.substr(url, std.length(parts[0]), std.length(url) - std.length(parts[0]) - std.length(parts[1]));

// Applies a function to every object, from the inside out.
local each(value, change) =
  if std.isObject(value) then change(std.mapWithKey(function(key, item) each(item, change), value))
  else if std.isArray(value) then [each(item, change) for item in value]
  else value;

local selectors(config) = {
  'app-status': config.appStatusSelector,
  cpu: config.cpuSelector,
  'httpd-log': config.httpdLogSelector,
  overview: '',
  queue: config.queueSelector,
};

// Adds a selector to the query of the variable job, on which all other variables and queries depend.
local selected(definition, selector) =
  if selector == '' then definition
  else if std.member(definition, '}') then std.strReplace(definition, '}', ',' + selector + '}')
  else std.strReplace(definition, ', job)', '{%s}, job)' % selector);

local variable(object, selector) =
  local definition = selected(object.definition, selector);
  object { definition: definition, query+: { query: definition } };

// The limits of an alert, each with its counterpart: the threshold, or the allowed share times each burn rate.
local limits(config, alert) =
  local shares = { HttpdErrorBudgetBurn: config.objectives[0].errors, HttpdLatencyBudgetBurn: config.objectives[0].slow };
  if std.objectHas(shares, alert) then [shares[alert] * rate.factor for rate in config.burnRates]
  else if std.objectHas(config.thresholds, alert) then [config.thresholds[alert]]
  else [];

local isClose(a, b) = std.abs(a - b) < 1e-9;

// Replaces the limits on a panel by those of the alerts that it links to.
local thresholds(panel, config) =
  local alerts = [nameIn(link.url) for link in panel.fieldConfig.defaults.links if std.startsWith(link.title, 'Runbook')];
  local replace(step) =
    local found = [
      limits(config, alert)[at]
      for alert in alerts
      for at in std.range(0, std.length(limits(default, alert)) - 1)
      if step.value != null && at < std.length(limits(config, alert)) && isClose(step.value, limits(default, alert)[at])
    ];
    if found == [] then step else step { value: found[0] };
  panel { fieldConfig+: { defaults+: { thresholds+: { steps: std.map(replace, super.steps) } } } };

function(config)
  local link(object) = object { url: std.join(nameIn(object.url), around(config)) };
  local before = default.objectives[0].seconds, after = config.objectives[0].seconds;
  local latency(text) =
    if before == after then text
    else std.strReplace(std.strReplace(text, 'le="%s"' % before, 'le="%s"' % after), 'than %s s' % before, 'than %s s' % after);
  local change(selector) = function(object)
    if std.objectHas(object, 'definition') && object.name == 'job' then variable(object, selector)
    else if std.objectHas(object, 'url') && std.objectHas(object, 'title') && std.startsWith(object.title, 'Runbook') then link(object)
    else if std.objectHas(object, 'expr') then
      object { expr: latency(super.expr) }
      + if std.objectHas(object, 'interval') then { interval: config.minInterval } else {}
    else object;
  local panels(value) = each(
    value, function(object)
      if std.objectHas(object, 'fieldConfig') && std.objectHas(object.fieldConfig.defaults, 'links')
      then thresholds(object { title: latency(super.title) }, config) else object
  );
  std.mapWithKey(function(name, source) each(panels(source), change(selectors(config)[name])), sources)
