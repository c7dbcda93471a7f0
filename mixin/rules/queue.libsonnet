// Rules for queue systems, monitored by queue-exporter. Values that a system does not report are absent, and alerts that need
{
  comment:: |||
    Rules for queue systems, monitored by queue-exporter. Values that a system does not report are absent, and alerts that need
    them do not fire.

    Critical alerts keep firing for 10 minutes after their last sample. Without this, an alert would resolve when its exporter
    stops, although nothing was fixed. ExporterDown and ExporterAbsent fire within these 10 minutes.
  |||,
  groups: [
    {
      comment:: |||
        One series per queue, even while its exporter's pod is replaced. On hosts, a queue is identified by the instance of its
        exporter. In Kubernetes, the instance changes with each pod, so the pod's name without its random suffix replaces it.
      |||,
      name: 'queue-records',
      rules: [
        {
          record: 'queue:queue_exporter_info:max',
          expr: '${stable}queue_exporter_info${queue}${pod}',
        },
        {
          record: 'queue:queue_depth:max',
          expr: '${stable}queue_depth${queue}${pod}',
        },
        {
          record: 'queue:queue_consumers:max',
          expr: '${stable}queue_consumers${queue}${pod}',
        },
        {
          record: 'queue:queue_paused:max',
          expr: '${stable}queue_paused${queue}${pod}',
        },
        {
          record: 'queue:queue_oldest_message_age_seconds:max',
          expr: '${stable}queue_oldest_message_age_seconds${queue}${pod}',
        },
        {
          comment:: |||
            Queues without consumers by design, recognized by name. Add your own names to these two records; no other rule
            matches names. Dead-letter queues: …dlq, …DeadLetter, …-dead-letter-queue, x.dead, x-poison, and the names used by
            MassTransit, NServiceBus and EasyNetQ.
          |||,
          record: 'queue:queue_depth:dead_letters',
          expr: 'queue:queue_depth:max{queue_name=~"(?i)(.*[._-])?(dead|poison)([._-].*)?|.*(dlq|dead[._-]?letters?([._-]?queues?)?|parking[._-]?lot)([._-].*)?|.+_(error|skipped)(_queue)?|error"}',
        },
        {
          comment:: |||
            Delay queues, whose messages expire into another queue (x.retry.5m, x_delay). If such a queue had a consumer in the
            last day, it counts as a work queue.
          |||,
          record: 'queue:queue_consumers_of_delays:max1d',
          expr: 'max_over_time(queue:queue_consumers:max{queue_name=~"(?i)(.*[._-])?(retry|retries|delay|delayed|wait|parked)([._-].*)?"}[1d])',
        },
        {
          comment:: |||
            All other queues are work queues, except RabbitMQ streams, which keep consumed messages.
          |||,
          record: 'queue:queue_depth:work',
          expr: |||
            queue:queue_depth:max
              unless queue:queue_depth:dead_letters
              unless queue:queue_consumers_of_delays:max1d == 0
              unless on (job, ${cluster}, ${service}, instance, queue_name, vhost)
                ${stable}queue_info{type="stream"${,queue}}${pod}
          |||,
        },
        {
          record: 'queue:messages_processed:rate5m',
          expr: '${stable}sum without (status) (rate(messages_processed_total${queue}[5m]))${pod}',
        },
        {
          record: 'queue:messages_failed_per_messages_processed:ratio_rate5m',
          expr: |||
            ${stable}sum without (status) (rate(messages_processed_total{status="failure"${,queue}}[5m]))${pod}
              / queue:messages_processed:rate5m
          |||,
        },
        {
          record: 'queue:messages_delivered:rate5m',
          expr: '${stable}rate(messages_delivered_total${queue}[5m])${pod}',
        },
        {
          comment:: |||
            Time to process the backlog at the current rate.
          |||,
          record: 'queue:queue_depth:drain_seconds',
          expr: 'queue:queue_depth:work / (queue:messages_processed:rate5m > 0)',
        },
        {
          comment:: |||
            Dead letters counted by the system, kept as dead by the system, or arriving in a dead-letter queue. A queue that is new
            since all queues were read 15 minutes ago counts with all its messages: MassTransit creates it for the first one.
          |||,
          record: 'queue:dead_letters:increase15m',
          expr: |||
            ${stable}increase(messages_dead_lettered_total${queue}[15m])${pod}
              or ${stable}sum without (state) (delta(queue_messages{state="dead"${,queue}}[15m]))${pod}
              or queue:queue_depth:dead_letters unless queue:queue_depth:max offset 15m
                and on (job, ${cluster}, ${service}, instance)
                  ${stable}queue_exporter_scrape_success${queue} offset 15m${pod} == 1
              or delta(queue:queue_depth:dead_letters[15m])
          |||,
        },
      ],
    },
    {
      comment:: |||
        This record changes slowly, so it is evaluated less often.
      |||,
      name: 'queue-records-long',
      interval: '1m',
      rules: [
        {
          record: 'queue:queue_oldest_message_age_seconds:max1h',
          expr: 'max_over_time(queue:queue_oldest_message_age_seconds:max[1h])',
        },
      ],
    },
    {
      name: 'queue-alerts',
      rules: [
        {
          alert: 'QueueWithoutConsumers',
          expr: 'queue:queue_depth:work > 0 and queue:queue_consumers:max == 0',
          'for': '5m',
          keep_firing_for: '10m',
          labels: { severity: 'critical', component: 'queue' },
          dashboard:: 'exporters-queue?var-job={{ $labels.job }}{{ if match ":" $labels.instance }}&var-instance={{ $labels.instance }}{{ end }}{{ with $labels.queue_name }}&var-queue={{ . }}{{ end }}',
          annotations: {
            summary: '${theQueue} has no consumer, and {{ $value | humanize }} messages are waiting',
            description: '{{ $value | humanize }} messages are waiting in ${theQueue} (${itsSystem}), which has no consumer.',
          },
        },
        {
          comment:: |||
            NATS reports deliveries but not their results. If a system reports processed messages per queue and has not done so for
            this queue, no message was ever processed. RabbitMQ is excluded: it reports nothing before the first delivery, and
            never for clients of AMQP 1.0 and MQTT.
          |||,
          alert: 'QueueStalled',
          expr: |||
            queue:queue_depth:work > 0
              and (queue:messages_processed:rate5m == 0
                or (queue:messages_delivered:rate5m == 0 unless queue:messages_processed:rate5m)
                or (queue:queue_depth:max offset 5m > 0 and queue:queue_consumers:max > 0
                  and on (job, ${cluster}, ${service}, instance)
                    ${stable}queue_exporter_metric_origin{metric="messages_processed_total",status="success",origin!="unavailable"${,queue}}${pod}
                  unless queue:messages_processed:rate5m
                  unless on (job, ${cluster}, ${service}, instance) queue:messages_processed:rate5m{queue_name=""}
                  unless on (job, ${cluster}, ${service}, instance) queue:queue_exporter_info:max{queue_system="rabbitmq"}))
              unless queue:queue_consumers:max == 0
              unless queue:queue_paused:max == 1
          |||,
          'for': '10m',
          keep_firing_for: '10m',
          labels: { severity: 'critical', component: 'queue' },
          dashboard:: 'exporters-queue?var-job={{ $labels.job }}{{ if match ":" $labels.instance }}&var-instance={{ $labels.instance }}{{ end }}{{ with $labels.queue_name }}&var-queue={{ . }}{{ end }}',
          annotations: {
            summary: 'No message of ${theQueue} is processed, and {{ $value | humanize }} are waiting',
            description: '{{ $value | humanize }} messages are waiting in ${theQueue} (${itsSystem}). None was processed (or delivered, if the system reports only deliveries) for at least 10 minutes.',
          },
        },
        {
          comment:: |||
            A person paused it, so critical alerts on the same queue do not fire.
          |||,
          alert: 'QueuePaused',
          expr: 'queue:queue_depth:work > 0 and queue:queue_paused:max == 1',
          'for': '30m',
          labels: { severity: 'warning', component: 'queue' },
          dashboard:: 'exporters-queue?var-job={{ $labels.job }}{{ if match ":" $labels.instance }}&var-instance={{ $labels.instance }}{{ end }}{{ with $labels.queue_name }}&var-queue={{ . }}{{ end }}',
          annotations: {
            summary: '${theQueue} is paused, and {{ $value | humanize }} messages are waiting',
            description: '{{ $value | humanize }} messages are waiting in ${theQueue} (${itsSystem}), which has been paused for 30 minutes. No message is delivered until the queue is resumed.',
          },
        },
        {
          alert: 'QueueGrowing',
          expr: |||
            queue:queue_depth:drain_seconds > ${QueueGrowing} and queue:queue_depth:work > ${QueueGrowingMessages} and deriv(queue:queue_depth:max[15m]) > 0
              unless queue:queue_consumers:max == 0
          |||,
          'for': '15m',
          labels: { severity: 'warning', component: 'queue' },
          dashboard:: 'exporters-queue?var-job={{ $labels.job }}{{ if match ":" $labels.instance }}&var-instance={{ $labels.instance }}{{ end }}{{ with $labels.queue_name }}&var-queue={{ . }}{{ end }}',
          annotations: {
            summary: '${theQueue} is growing and {{ $value | humanizeDuration }} behind',
            description: 'Messages arrive in ${theQueue} (${itsSystem}) faster than they are processed. At the current rate, the backlog would take {{ $value | humanizeDuration }}.',
          },
        },
        {
          comment:: |||
            For systems that do not report their processing rate.
          |||,
          alert: 'QueueBacklogHigh',
          expr: 'queue:queue_depth:work > ${QueueBacklogHigh} unless queue:messages_processed:rate5m',
          'for': '15m',
          labels: { severity: 'warning', component: 'queue' },
          dashboard:: 'exporters-queue?var-job={{ $labels.job }}{{ if match ":" $labels.instance }}&var-instance={{ $labels.instance }}{{ end }}{{ with $labels.queue_name }}&var-queue={{ . }}{{ end }}',
          annotations: {
            summary: '{{ $value | humanize }} messages are waiting in ${theQueue}',
            description: '{{ $value | humanize }} messages are waiting in ${theQueue} (${itsSystem}). Their processing rate is unknown.',
          },
        },
        {
          comment:: |||
            Excludes queues without consumers by design, and queues whose oldest message was nearly as old at this hour yesterday,
            such as a queue that is filled every night. Messages older than a day are not compared: they may be the same ones.
          |||,
          alert: 'QueueOldestMessageTooOld',
          expr: |||
            queue:queue_oldest_message_age_seconds:max > ${QueueOldestMessageTooOld}
              unless queue:queue_depth:dead_letters
              unless queue:queue_consumers_of_delays:max1d == 0
              unless queue:queue_paused:max == 1
              unless (queue:queue_oldest_message_age_seconds:max < 86400)
                < 1.5 * queue:queue_oldest_message_age_seconds:max1h offset 23h30m
          |||,
          'for': '5m',
          keep_firing_for: '10m',
          labels: { severity: 'critical', component: 'queue' },
          dashboard:: 'exporters-queue?var-job={{ $labels.job }}{{ if match ":" $labels.instance }}&var-instance={{ $labels.instance }}{{ end }}{{ with $labels.queue_name }}&var-queue={{ . }}{{ end }}',
          annotations: {
            summary: 'A message in ${theQueue} has been waiting for {{ $value | humanizeDuration }}',
            description: 'The oldest ready message in ${theQueue} (${itsSystem}) has been waiting for {{ $value | humanizeDuration }}.',
          },
        },
        {
          comment:: |||
            keep_firing_for joins repeated increases, such as jobs that are buried and kicked in turn, into one alert.
          |||,
          alert: 'QueueDeadLetters',
          expr: 'queue:dead_letters:increase15m > 0',
          keep_firing_for: '15m',
          labels: { severity: 'warning', component: 'queue' },
          dashboard:: 'exporters-queue?var-job={{ $labels.job }}{{ if match ":" $labels.instance }}&var-instance={{ $labels.instance }}{{ end }}{{ with $labels.queue_name }}&var-queue={{ . }}{{ end }}',
          annotations: {
            summary: '{{ $value | printf "%.0f" }} messages{{ with $labels.queue_name }} in {{ . }}{{ end }}${itsScope} became dead letters',
            description: 'About {{ $value | printf "%.0f" }} messages became dead letters in {{ with $labels.queue_name }}{{ . }}{{ else }}all queues together{{ end }}${itsScope} (${itsSystem}) in the last 15 minutes. They will not be processed.',
          },
        },
        {
          alert: 'QueueFailuresHigh',
          expr: 'queue:messages_failed_per_messages_processed:ratio_rate5m > ${QueueFailuresHigh}',
          'for': '10m',
          labels: { severity: 'warning', component: 'queue' },
          dashboard:: 'exporters-queue?var-job={{ $labels.job }}{{ if match ":" $labels.instance }}&var-instance={{ $labels.instance }}{{ end }}{{ with $labels.queue_name }}&var-queue={{ . }}{{ end }}',
          annotations: {
            summary: '{{ $value | humanizePercentage }} of the messages in {{ with $labels.queue_name }}{{ . }}{{ else }}all queues together{{ end }}${itsScope} fail',
            description: 'In the last 5 minutes, {{ $value | humanizePercentage }} of the messages processed in {{ with $labels.queue_name }}{{ . }}{{ else }}all queues together{{ end }}${itsScope} (${itsSystem}) failed.',
          },
        },
        {
          alert: 'QueueNearlyFull',
          expr: |||
            queue:queue_depth:max
              / ${stable}queue_max_length${queue}${pod} > ${QueueNearlyFull}
          |||,
          'for': '10m',
          labels: { severity: 'warning', component: 'queue' },
          dashboard:: 'exporters-queue?var-job={{ $labels.job }}{{ if match ":" $labels.instance }}&var-instance={{ $labels.instance }}{{ end }}{{ with $labels.queue_name }}&var-queue={{ . }}{{ end }}',
          annotations: {
            summary: '${theQueue} is {{ $value | humanizePercentage }} full',
            description: '${theQueue} (${itsSystem}) holds {{ $value | humanizePercentage }} of its maximum length. When it is full, the queue system drops or rejects messages.',
          },
        },
        {
          alert: 'QueueSystemUnread',
          expr: '${stable}queue_exporter_scrape_success${queue}${pod} == 0',
          'for': '5m',
          keep_firing_for: '10m',
          labels: { severity: 'critical', component: 'queue' },
          dashboard:: 'exporters-queue?var-job={{ $labels.job }}{{ if match ":" $labels.instance }}&var-instance={{ $labels.instance }}{{ end }}',
          annotations: {
            summary: '{{ $labels.instance }} cannot read all queues of its system',
            description: 'The exporter runs but cannot read every queue of ${itsSystem} (success is {{ $value }}). Unread queues are absent, so alerts on them cannot fire.',
          },
        },
        {
          comment:: |||
            BullMQ keeps a limited number of events. If more happen between two reads, the exporter counts too few messages.
          |||,
          alert: 'QueueEventsLost',
          expr: '${stable}increase(queue_exporter_event_gaps_total${queue}[15m])${pod} > 0',
          keep_firing_for: '15m',
          labels: { severity: 'warning', component: 'queue' },
          dashboard:: 'exporters-queue?var-job={{ $labels.job }}{{ if match ":" $labels.instance }}&var-instance={{ $labels.instance }}{{ end }}',
          annotations: {
            summary: '{{ $labels.instance }} misses events of its queues',
            description: 'Events were lost {{ $value | printf "%.0f" }} times in the last 15 minutes before they could be read from ${itsSystem}. Counters of processed messages are too low.',
          },
        },
        {
          comment:: |||
            The broker blocks or refuses publishers until the alarm ends.
          |||,
          alert: 'QueueBrokerAlarm',
          expr: '${stable}queue_broker_alarm${queue}${pod} == 1',
          'for': '1m',
          keep_firing_for: '10m',
          labels: { severity: 'critical', component: 'queue' },
          dashboard:: 'exporters-queue?var-job={{ $labels.job }}{{ if match ":" $labels.instance }}&var-instance={{ $labels.instance }}{{ end }}',
          annotations: {
            summary: '{{ $labels.instance }} has an alarm: {{ $labels.alarm }}',
            description: 'The alarm {{ $labels.alarm }} is active in ${itsSystem} (value {{ $value }}). Until it ends, the broker blocks or refuses publishers; with the alarm replication, its data are outdated.',
          },
        },
        {
          alert: 'QueueBrokerNearLimit',
          expr: '${stable}queue_broker_limit_used_ratio${queue}${pod} > ${QueueBrokerNearLimit}',
          'for': '10m',
          labels: { severity: 'warning', component: 'queue' },
          dashboard:: 'exporters-queue?var-job={{ $labels.job }}{{ if match ":" $labels.instance }}&var-instance={{ $labels.instance }}{{ end }}',
          annotations: {
            summary: '{{ $labels.instance }} uses {{ $value | humanizePercentage }} of its limit: {{ $labels.resource }}',
            description: 'A node of ${itsSystem} uses {{ $value | humanizePercentage }} of its limit of {{ $labels.resource }}. At the limit, it refuses messages or connections.',
          },
        },
        {
          comment:: |||
            A publisher that does not request a return never learns that a message reached no queue. A Redis that evicts keys
            deletes queues and jobs.
          |||,
          alert: 'QueueMessagesLost',
          expr: |||
            ${stable}increase(queue_broker_unroutable_messages_total{outcome="dropped"${,queue}}[15m])${pod} > 0
              or ${stable}increase(queue_broker_evicted_keys_total${queue}[15m])${pod} > 0
          |||,
          keep_firing_for: '15m',
          labels: { severity: 'warning', component: 'queue' },
          dashboard:: 'exporters-queue?var-job={{ $labels.job }}{{ if match ":" $labels.instance }}&var-instance={{ $labels.instance }}{{ end }}',
          annotations: {
            summary: '{{ $labels.instance }} lost messages',
            description: '{{ with $labels.outcome }}About {{ $value | printf "%.0f" }} published messages reached no queue and were dropped{{ else }}About {{ $value | printf "%.0f" }} keys were evicted for lack of memory{{ end }} in ${itsSystem} in the last 15 minutes. They will not be processed.',
          },
        },
        {
          alert: 'QueueReplicasMissing',
          expr: |||
            ${stable}queue_replicas_in_sync${queue}${pod}
              < ${stable}queue_replicas${queue}${pod}
          |||,
          'for': '10m',
          labels: { severity: 'warning', component: 'queue' },
          dashboard:: 'exporters-queue?var-job={{ $labels.job }}{{ if match ":" $labels.instance }}&var-instance={{ $labels.instance }}{{ end }}{{ with $labels.queue_name }}&var-queue={{ . }}{{ end }}',
          annotations: {
            summary: '${theQueue} has only {{ $value }} complete replicas',
            description: '{{ $value }} replicas of ${theQueue} (${itsSystem}) are online and complete, fewer than configured. Another failed node may make the queue unavailable.',
          },
        },
        {
          alert: 'QueueReplicaLagging',
          expr: |||
            ${stable}queue_replica_lag_messages${queue}${pod} > ${QueueReplicaLagging}
              or ${stable}queue_mirror_lag_messages${queue}${pod} > ${QueueReplicaLagging}
          |||,
          'for': '15m',
          labels: { severity: 'warning', component: 'queue' },
          dashboard:: 'exporters-queue?var-job={{ $labels.job }}{{ if match ":" $labels.instance }}&var-instance={{ $labels.instance }}{{ end }}{{ with $labels.queue_name }}&var-queue={{ . }}{{ end }}',
          annotations: {
            summary: 'A copy of ${theQueue} is {{ $value | humanize }} messages behind',
            description: 'A replica or mirror of ${theQueue} (${itsSystem}) has been behind its origin for 15 minutes (now by {{ $value | humanize }} messages). If the origin fails, these messages are lost or late.',
          },
        },
        {
          comment:: |||
            NATS disconnects clients that do not read their messages in time; Redis does so with subscribers.
          |||,
          alert: 'QueueSlowConsumers',
          expr: '${stable}increase(queue_broker_slow_consumers_total${queue}[15m])${pod} > 0',
          keep_firing_for: '15m',
          labels: { severity: 'warning', component: 'queue' },
          dashboard:: 'exporters-queue?var-job={{ $labels.job }}{{ if match ":" $labels.instance }}&var-instance={{ $labels.instance }}{{ end }}',
          annotations: {
            summary: '{{ $labels.instance }} disconnected slow consumers',
            description: 'About {{ $value | printf "%.0f" }} clients of ${itsSystem} read too slowly and were disconnected in the last 15 minutes. They lose messages that are not acknowledged.',
          },
        },
        {
          comment:: |||
            A worker that is stopped properly unregisters itself.
          |||,
          alert: 'QueueWorkersLost',
          expr: '${stable}queue_workers{state="lost"${,queue}}${pod} > 0',
          'for': '20m',
          labels: { severity: 'warning', component: 'queue' },
          dashboard:: 'exporters-queue?var-job={{ $labels.job }}{{ if match ":" $labels.instance }}&var-instance={{ $labels.instance }}{{ end }}',
          annotations: {
            summary: '{{ $value }} workers of {{ $labels.instance }} are lost',
            description: '{{ $value }} workers of ${itsSystem} stopped without unregistering, or lost their connection, and have not returned for 20 minutes. The jobs they were processing may be lost.',
          },
        },
        {
          comment:: |||
            For systems that do not report the consumers of each queue.
          |||,
          alert: 'QueueWorkersGone',
          expr: |||
            ${stable}queue_workers{state="alive"${,queue}}${pod} == 0
              and on (job, ${cluster}, ${service}, instance) queue:queue_depth:work > 0
              unless on (job, ${cluster}, ${service}, instance) queue:queue_consumers:max
          |||,
          'for': '5m',
          keep_firing_for: '10m',
          labels: { severity: 'critical', component: 'queue' },
          dashboard:: 'exporters-queue?var-job={{ $labels.job }}{{ if match ":" $labels.instance }}&var-instance={{ $labels.instance }}{{ end }}',
          annotations: {
            summary: 'No worker of {{ $labels.instance }} is alive, and messages are waiting',
            description: '{{ $value }} workers of ${itsSystem} are alive, and messages are waiting. They will not be processed.',
          },
        },
      ],
    },
  ],
}
