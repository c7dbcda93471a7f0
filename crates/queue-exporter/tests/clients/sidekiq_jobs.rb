# Jobs for Sidekiq, whose Redis is at PORT; as a program it puts them into its queues: in "mail" seven succeed, three
# fail permanently and two are retried later; in "slow" three never finish; four are left, and two are delayed.
require 'sidekiq'

redis = { url: "redis://127.0.0.1:#{ENV.fetch('PORT')}" }
Sidekiq.configure_client { |config| config.redis = redis }
Sidekiq.configure_server { |config| config.redis = redis }

class Quick
  include Sidekiq::Worker
  sidekiq_options queue: 'mail', retry: 0

  def perform(fails)
    raise 'as requested' if fails
  end
end

class Again
  include Sidekiq::Worker
  sidekiq_options queue: 'mail', retry: 5
  sidekiq_retry_in { 3600 }

  def perform
    raise 'as requested'
  end
end

class Slow
  include Sidekiq::Worker
  sidekiq_options queue: 'slow'

  def perform
    sleep 3600
  end
end

if $PROGRAM_NAME == __FILE__
  7.times { Quick.perform_async(false) }
  3.times { Quick.perform_async(true) }
  2.times { Again.perform_async }
  3.times { Slow.perform_async }
  4.times { Quick.set(queue: 'left').perform_async(false) }
  2.times { Quick.perform_in(3600, false) }
end
