// Objectives of HTTP servers: records for every window, and alerts for every burn rate.
local number = (import '../parameters.libsonnet').number;

local units = { s: 1, m: 60, h: 3600, d: 86400 };
local seconds(window) =
  local last = std.length(window) - 1;
  std.parseInt(std.substr(window, 0, last)) * units[window[last]];

function(config) {
  local default = config.objectives[0],
  local others = config.objectives[1:],

  // A record for the services of an objective: the first objective is for all that no other selects.
  local only(objective, metric) =
    if objective.selector != '' then '%s{%s}' % [metric, objective.selector]
    else if others == [] then metric
    else '(%s)' % std.join(' unless ', [metric] + ['%s{%s}' % [metric, other.selector] for other in others]),

  local all = std.set([each[key] for each in config.burnRates for key in ['long', 'short']] + ['5m', '30m', '1h']),
  local windows = std.sort(all, seconds),

  // The share of slow requests. An objective with its own limit comes first: `or` adds only services that are still missing.
  local slow(objective, window) = |||
    1 - sum without (${replica}, route, le) (rate(httpd_request_duration_seconds_bucket{le="%(seconds)s"%(selector)s${,httpdLog}}[%(window)s]))
      / sum without (${replica}, route) (rate(httpd_request_duration_seconds_count%(braces)s[%(window)s]))
  ||| % {
    seconds: objective.seconds,
    selector: if objective.selector == '' then '' else ',' + objective.selector,
    braces: if objective.selector == '' then '${httpdLog}' else '{%s${,httpdLog}}' % objective.selector,
    window: window,
  },
  local limited = [each for each in others if each.seconds != default.seconds] + [default],

  records(isShort):: std.flattenArrays([
    [
      {
        record: 'job:http_requests:rate' + window,
        expr: 'sum without (${replica}, method, status_code, route) (rate(httpd_requests_total${httpdLog}[%s]))' % window,
      },
      {
        record: 'job:http_request_failures:rate' + window,
        expr: |||
          sum without (${replica}, method, status_code, route) (rate(httpd_requests_total{status_code=~"5.."${,httpdLog}}[%(window)s]))
            or 0 * job:http_requests:rate%(window)s
        ||| % { window: window },
      },
      {
        record: 'job:http_request_failures_per_http_requests:ratio_rate' + window,
        expr: 'job:http_request_failures:rate%(window)s / job:http_requests:rate%(window)s' % { window: window },
      },
      {
        record: 'job:http_requests_slow_per_http_requests:ratio_rate' + window,
        expr: std.join('or\n', [slow(each, window) for each in limited]),
      },
    ]
    for window in windows
    if (seconds(window) <= 3600) == isShort
  ]),

  local condition(ratio, objective, share, rate) = |||
    %(long)s > %(factor)s * %(share)s
      and %(short)s > %(factor)s * %(share)s
      and job:http_requests:rate%(window)s > ${minimumRate}
  ||| % {
    long: only(objective, ratio + rate.long),
    short: only(objective, ratio + rate.short),
    factor: number(rate.factor),
    share: number(share),
    window: rate.long,
  },

  // The alerts of one kind of objective, whose allowed share is a field of an objective.
  local alerts(name, ratio, field, summary, fault, continues) = [
    {
      alert: name,
      expr: std.join('or\n', [condition(ratio, each, each[field], rate) for each in config.objectives]),
      'for': rate['for'],
      // Otherwise a page would resolve when the exporter stops.
      [if rate.severity == 'critical' then 'keep_firing_for']: '10m',
      labels: { severity: rate.severity, component: 'httpd-log', instance: 'all', long: rate.long, short: rate.short },
      dashboard:: 'exporters-httpd-log?var-job={{ $labels.job }}',
      annotations: {
        summary: '{{ $value | humanizePercentage }} of the requests of ${theService} ' + summary,
        description:
          'Over the last %s, {{ $value | humanizePercentage }} of the requests of ${theService} %s, %s the objective allows, and %s continue.' % [
            rate.long,
            fault,
            if rate.factor == 1 then 'more than' else 'over %s times the rate that' % number(rate.factor),
            continues,
          ],
      },
    }
    for rate in config.burnRates
  ],

  alerts::
    alerts(
      'HttpdErrorBudgetBurn',
      'job:http_request_failures_per_http_requests:ratio_rate',
      'errors',
      'fail',
      'failed with a server error',
      'errors'
    )
    + alerts(
      'HttpdLatencyBudgetBurn',
      'job:http_requests_slow_per_http_requests:ratio_rate',
      'slow',
      'are slow',
      if std.length(limited) == 1 then 'took longer than %s s' % default.seconds else 'took too long',
      'slow requests'
    ),
}
