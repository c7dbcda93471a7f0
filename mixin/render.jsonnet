// Everything that mixin/render writes, for a configuration that replaces parts of config.libsonnet.
function(overrides={})
  local mixin = (import 'mixin.libsonnet') { _config+:: overrides };

  // Comments are hidden fields; ::: makes them visible.
  local visible(object) = object + (if std.objectHasAll(object, 'comment') then { comment::: object.comment } else {});
  local file(object) = visible(object) {
    groups: [visible(group) { rules: std.map(visible, group.rules) } for group in object.groups],
  };

  {
    config: mixin._config,
    rules: std.mapWithKey(function(name, object) file(object), mixin.ruleFiles),
    dashboards: mixin.grafanaDashboards,
  }
