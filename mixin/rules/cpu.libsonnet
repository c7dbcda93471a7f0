// Rules for CPUs of hosts, monitored by cpu-exporter.
{
  comment:: |||
    Rules for CPUs of hosts, monitored by cpu-exporter.
  |||,
  groups: [
    {
      name: 'cpu-records',
      rules: [
        {
          record: 'instance:cpu_exporter_cpu_in_use:ratio_rate5m',
          expr: |||
            1 - sum without (mode) (rate(cpu_exporter_cpu_usage_seconds_total{mode=~"idle|iowait"${,cpu}}[5m]))
              / sum without (mode) (rate(cpu_exporter_cpu_usage_seconds_total${cpu}[5m]))
          |||,
        },
        {
          record: 'instance:cpu_exporter_cpu_steal:ratio_rate5m',
          expr: |||
            sum without (mode) (rate(cpu_exporter_cpu_usage_seconds_total{mode="steal"${,cpu}}[5m]))
              / sum without (mode) (rate(cpu_exporter_cpu_usage_seconds_total${cpu}[5m]))
          |||,
        },
        {
          comment:: |||
            Share of time in which at least one process waited for a CPU.
          |||,
          record: 'instance:cpu_exporter_pressure_cpu_waiting:rate5m',
          expr: 'rate(cpu_exporter_pressure_cpu_waiting_seconds_total${cpu}[5m])',
        },
        {
          record: 'instance:cpu_exporter_load1_per_cpu:ratio',
          expr: 'cpu_exporter_load1${cpu} / cpu_exporter_cpus_online${cpu}',
        },
        {
          comment:: |||
            Runnable processes per CPU in at least half of the scrapes, without the exporter, which runs while it reads the
            number. An average would be high for a process with many threads that is throttled after a short time in each period.
          |||,
          record: 'instance:cpu_exporter_procs_running_per_cpu:median5m',
          expr: '(quantile_over_time(0.5, cpu_exporter_procs_running${cpu}[5m]) - 1) / cpu_exporter_cpus_online${cpu}',
        },
        {
          comment:: |||
            Pressure while CPUs are busy or more processes are runnable than there are CPUs; 0 while CPUs are free. The kernel also
            counts processes that wait because of their cgroup's limit, although CPUs are idle.
          |||,
          record: 'instance:cpu_exporter_cpu_saturation:rate5m',
          expr: |||
            instance:cpu_exporter_pressure_cpu_waiting:rate5m
              and on (job, instance) (instance:cpu_exporter_cpu_in_use:ratio_rate5m > 0.8
                or instance:cpu_exporter_procs_running_per_cpu:median5m > 1)
              or instance:cpu_exporter_pressure_cpu_waiting:rate5m * 0
                and on (job, instance) instance:cpu_exporter_cpu_in_use:ratio_rate5m
          |||,
        },
        {
          comment:: |||
            Share of periods in which a cgroup used up its limit.
          |||,
          record: 'instance:cpu_exporter_cgroup_cpu_throttled_periods:ratio_rate5m',
          expr: |||
            rate(cpu_exporter_cgroup_cpu_throttled_periods_total${cpu}[5m])
              / rate(cpu_exporter_cgroup_cpu_periods_total${cpu}[5m])
          |||,
        },
        {
          comment:: |||
            The same for each cgroup of the collector cgroups.
          |||,
          record: 'instance_cgroup:cpu_exporter_cgroups_cpu_throttled_periods:ratio_rate5m',
          expr: |||
            rate(cpu_exporter_cgroups_cpu_throttled_periods_total${cpu}[5m])
              / rate(cpu_exporter_cgroups_cpu_periods_total${cpu}[5m])
          |||,
        },
      ],
    },
    {
      name: 'cpu-alerts',
      rules: [
        {
          alert: 'CpuSaturated',
          expr: 'instance:cpu_exporter_cpu_saturation:rate5m > ${CpuSaturated}',
          'for': '15m',
          labels: { severity: 'warning', component: 'cpu' },
          dashboard:: 'exporters-cpu?var-job={{ $labels.job }}&var-instance={{ $labels.instance }}',
          annotations: {
            summary: 'Processes on {{ $labels.instance }} wait for a CPU {{ $value | humanizePercentage }} of the time',
            description: 'In the last 5 minutes, at least one process on {{ $labels.instance }} was ready to run but had no CPU for {{ $value | humanizePercentage }} of the time, while the CPUs were busy or more processes were runnable than there are CPUs. Everything on this host is slower.',
          },
        },
        {
          comment:: |||
            For kernels without pressure information. The load excludes processes that are throttled by their cgroup's
            limit. It includes processes that wait for a disk, also if CPUs are idle.
          |||,
          alert: 'CpuLoadHigh',
          expr: |||
            instance:cpu_exporter_load1_per_cpu:ratio > ${CpuLoadHigh}
              unless on (job, instance) instance:cpu_exporter_pressure_cpu_waiting:rate5m
          |||,
          'for': '15m',
          labels: { severity: 'warning', component: 'cpu' },
          dashboard:: 'exporters-cpu?var-job={{ $labels.job }}&var-instance={{ $labels.instance }}',
          annotations: {
            summary: 'The load of {{ $labels.instance }} is {{ $value | humanize }} per CPU',
            description: 'On {{ $labels.instance }}, {{ $value | humanize }} processes per CPU are running, runnable or waiting for a disk. This kernel has no pressure information.',
          },
        },
        {
          comment:: |||
            A busy CPU is not a fault. This alert only helps to explain others.
          |||,
          alert: 'CpuBusy',
          expr: 'instance:cpu_exporter_cpu_in_use:ratio_rate5m > ${CpuBusy}',
          'for': '30m',
          labels: { severity: 'info', component: 'cpu' },
          dashboard:: 'exporters-cpu?var-job={{ $labels.job }}&var-instance={{ $labels.instance }}',
          annotations: {
            summary: 'The CPUs of {{ $labels.instance }} are {{ $value | humanizePercentage }} busy',
            description: '{{ $labels.instance }} has used more than ${percentCpuBusy} % of its CPU time for 30 minutes (now {{ $value | humanizePercentage }}), so it has no reserve.',
          },
        },
        {
          alert: 'CpuStealHigh',
          expr: 'instance:cpu_exporter_cpu_steal:ratio_rate5m > ${CpuStealHigh}',
          'for': '15m',
          labels: { severity: 'warning', component: 'cpu' },
          dashboard:: 'exporters-cpu?var-job={{ $labels.job }}&var-instance={{ $labels.instance }}',
          annotations: {
            summary: 'The hypervisor withholds {{ $value | humanizePercentage }} of the CPU time of {{ $labels.instance }}',
            description: 'The virtual machine {{ $labels.instance }} was ready to run but was not scheduled for {{ $value | humanizePercentage }} of the time: its host is overcommitted, or its CPU credits are used up.',
          },
        },
        {
          comment:: |||
            The share of periods alone is not enough: a cgroup that is nearly always idle has few periods. Being throttled for
            more than 1 % of the time is what its clients notice.
          |||,
          alert: 'CpuThrottled',
          expr: |||
            instance:cpu_exporter_cgroup_cpu_throttled_periods:ratio_rate5m > ${CpuThrottled}
              and rate(cpu_exporter_cgroup_cpu_throttled_seconds_total${cpu}[5m]) > 0.01
          |||,
          'for': '15m',
          labels: { severity: 'warning', component: 'cpu' },
          dashboard:: 'exporters-cpu?var-job={{ $labels.job }}&var-instance={{ $labels.instance }}',
          annotations: {
            summary: 'The cgroup of {{ $labels.instance }} is throttled in {{ $value | humanizePercentage }} of its periods',
            description: 'The cgroup monitored by {{ $labels.instance }} used up its CPU limit in {{ $value | humanizePercentage }} of its periods and paused until the next period.',
          },
        },
        {
          alert: 'CpuServiceThrottled',
          expr: |||
            instance_cgroup:cpu_exporter_cgroups_cpu_throttled_periods:ratio_rate5m{cgroup!="_other"} > ${CpuServiceThrottled}
              and rate(cpu_exporter_cgroups_cpu_throttled_seconds_total${cpu}[5m]) > 0.01
          |||,
          'for': '15m',
          labels: { severity: 'warning', component: 'cpu' },
          dashboard:: 'exporters-cpu?var-job={{ $labels.job }}&var-instance={{ $labels.instance }}',
          annotations: {
            summary: '{{ $labels.cgroup }} on {{ $labels.instance }} is throttled in {{ $value | humanizePercentage }} of its periods',
            description: 'The service or container {{ $labels.cgroup }} on {{ $labels.instance }} used up its CPU limit in {{ $value | humanizePercentage }} of its periods and paused until the next period.',
          },
        },
        {
          comment:: |||
            Single events are normal: a burst of work heats a core for a moment. A core or package with bad cooling is throttled
            again and again. The sum over cores would count the single events of many cores.
          |||,
          alert: 'CpuHot',
          expr: |||
            max without (core, package) (increase(cpu_exporter_cpu_package_throttles_total${cpu}[5m])) > ${CpuHot}
              or max without (core, package) (increase(cpu_exporter_cpu_core_throttles_total${cpu}[5m])) > ${CpuHot}
          |||,
          'for': '15m',
          labels: { severity: 'warning', component: 'cpu' },
          dashboard:: 'exporters-cpu?var-job={{ $labels.job }}&var-instance={{ $labels.instance }}',
          annotations: {
            summary: 'The CPUs of {{ $labels.instance }} are throttled because of heat',
            description: 'A core or package of {{ $labels.instance }} was throttled {{ $value | humanize }} times in the last 5 minutes because it was too hot.',
          },
        },
      ],
    },
  ],
}
