// Parameters of the rules: ${name} in an expression or text is replaced by a value from the configuration.

// A number as text. std.toString prints 0.95 as 0.94999999999999996.
local number(value) = if value == std.floor(value) then '%d' % value else '%g' % value;

// `metric${name}` and `metric{label="value"${,name}}` insert a selector.
local selector(name, text) = {
  [name]: if text == '' then '' else '{%s}' % text,
  [',' + name]: if text == '' then '' else ',' + text,
};

// The parameters of a configuration.
local parameters(config) =
  std.mapWithKey(function(name, value) number(value), config.thresholds)
  + selector('cpu', config.cpuSelector)
  + selector('httpdLog', config.httpdLogSelector)
  + selector('appStatus', config.appStatusSelector)
  + selector('queue', config.queueSelector)
  + {
    percentCpuBusy: number(config.thresholds.CpuBusy * 100),
    mebibytesHttpdLogUnread: number(config.thresholds.HttpdLogUnread / 1024 / 1024),
    exporterJobs: '{%s}' % config.exporterJobsSelector,
    monitoring: '{%s}' % config.monitoringSelector,
    cluster: config.clusterLabel,
    service: std.join(', ', config.serviceLabels),
    replica: std.join(', ', config.replicaLabels),
    minimumRate: number(config.objectiveMinimumRate),

    // One series per queue, even while its exporter's pod is replaced: ${stable}EXPRESSION${pod}. In Kubernetes, the name of the pod
    // without its random suffix replaces the instance, which changes with each pod.
    stable: 'max without (%s) (label_replace(' % std.join(', ', [label for label in config.replicaLabels if label != 'instance']),
    pod: ', "instance", "$1", "pod", "(.+?)(-[bcdfghjklmnpqrstvwxz2456789]{6,10})?-[a-z0-9]+"))',

    // Parts of texts: what an alert is about.
    theService: '{{ $labels.job }}{{ with $labels.namespace }} in namespace {{ . }}{{ end }}{{ with $labels.service }} of service {{ . }}{{ end }}{{ with $labels.vhost }} for {{ . }}{{ end }}',
    theQueue: '{{ $labels.queue_name }}' + self.itsScope,
    itsScope: '{{ with $labels.scope }} for {{ . }}{{ end }}{{ with $labels.vhost }} in virtual host {{ . }}{{ end }}',
    itsSystem: '{{ with printf "queue:queue_exporter_info:max{job=%q,instance=%q,namespace=%q}" $labels.job $labels.instance $labels.namespace | query }}{{ . | first | label "queue_system" }} at {{ end }}{{ $labels.instance }}{{ with $labels.namespace }} in namespace {{ . }}{{ end }}',
  };

{
  number: number,

  // A function that replaces the parameters in a text. An unknown name is an error.
  expand(config)::
    local all = parameters(config);
    function(text)
      local parts = std.split(text, '$');
      local replace(part) =
        local found = std.splitLimit(part, '}', 1);
        if std.startsWith(part, '{') then all[found[0][1:]] + found[1] else '$' + part;
      std.join('', parts[0:1] + std.map(replace, parts[1:])),
}
