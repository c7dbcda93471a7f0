// Objectives of HTTP servers: records for every window, and one alert for each burn rate and objective.
local number = (import '../parameters.libsonnet').number;

local units = { s: 1, m: 60, h: 3600, d: 86400 };
local seconds(window) =
  local last = std.length(window) - 1;
  std.parseInt(std.substr(window, 0, last)) * units[window[last]];

// The selector of an objective, within braces and after other matchers.
local within(objective) = if objective.selector == '' then '' else ',' + objective.selector;

function(config) {
  local default = config.objectives[0],
  local others = config.objectives[1:],

  // An expression for the services of an objective. `with` inserts a selector into a metric.
  local only(objective, metric) =
    if objective.selector != '' then '%s{%s}' % [metric, objective.selector]
    else if others == [] then metric
    else '(%s)' % std.join(' unless ', [metric] + ['%s{%s}' % [metric, other.selector] for other in others]),

  local all = std.set([each[key] for each in config.burnRates for key in ['long', 'short']] + ['5m', '30m', '1h']),
  local windows = std.sort(all, seconds),

  // The share of slow requests of the services of an objective with its own limit.
  local slow(objective, window) = |||
    1 - sum without (${replica}, route, le) (rate(httpd_request_duration_seconds_bucket{le="%(seconds)s"%(selector)s${,httpdLog}}[%(window)s]))
      / sum without (${replica}, route) (rate(httpd_request_duration_seconds_count%(braces)s[%(window)s]))
  ||| % {
    seconds: objective.seconds,
    selector: within(objective),
    window: window,
    braces: if objective.selector == '' then '${httpdLog}' else '{%s${,httpdLog}}' % objective.selector,
  },
  local limited = [each for each in others if each.seconds != default.seconds],
  local otherServices(window) = std.join('', [
    '  unless sum without (${replica}, route) (rate(httpd_request_duration_seconds_count{%s${,httpdLog}}[%s]))\n' % [each.selector, window]
    for each in limited
  ]),

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
        expr: if limited == [] then slow(default, window) else '(%s)\n%s' % [slow(default, window), otherServices(window)],
      },
    ] + [
      { record: 'job:http_requests_slow_per_http_requests:ratio_rate' + window, expr: slow(each, window) }
      for each in limited
    ]
    for window in windows
    if (seconds(window) <= 3600) == isShort
  ]),

  local alert(name, ratio, objective, share, rate, summary, description) = {
    alert: name,
    expr: |||
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
    'for': rate['for'],
    // Otherwise a page would resolve when the exporter stops.
    [if rate.severity == 'critical' then 'keep_firing_for']: '10m',
    labels: { severity: rate.severity, component: 'httpd-log', instance: 'all', long: rate.long, short: rate.short },
    dashboard:: 'exporters-httpd-log?var-job={{ $labels.job }}',
    annotations: {
      summary: '{{ $value | humanizePercentage }} of the requests of ${theService} ' + summary,
      description: 'Over the last %s, {{ $value | humanizePercentage }} of the requests of ${theService} %s' % [
        rate.long,
        if rate.factor == 1 then std.strReplace(description, 'over 1 times the rate that', 'more than') else description,
      ],
    },
  },

  alerts:: [
    alert(
      'HttpdErrorBudgetBurn',
      'job:http_request_failures_per_http_requests:ratio_rate',
      objective,
      objective.errors,
      rate,
      'fail',
      'failed with a server error, over %s times the rate that the objective allows, and errors continue.' % number(rate.factor)
    )
    for objective in config.objectives
    for rate in config.burnRates
  ] + [
    alert(
      'HttpdLatencyBudgetBurn',
      'job:http_requests_slow_per_http_requests:ratio_rate',
      objective,
      objective.slow,
      rate,
      'are slow',
      'took longer than %s s, over %s times the rate that the objective allows, and slow requests continue.' % [
        objective.seconds,
        number(rate.factor),
      ]
    )
    for objective in config.objectives
    for rate in config.burnRates
  ],
}
