-- Tables of queue systems as they are documented, each with the same jobs.
CREATE TYPE river_job_state as enum('available','cancelled','completed','discarded','pending','retryable','running','scheduled');
CREATE TABLE river_job(
  id bigserial primary key,state river_job_state default 'available' not null,attempt smallint default 0 not null,max_attempts smallint not null default 25,attempted_at timestamptz,created_at timestamptz default now() not null,finalized_at timestamptz,scheduled_at timestamptz default now() not null,priority smallint default 1 not null,args jsonb not null default '{}',attempted_by text[],errors jsonb[],kind text not null default 'k',metadata jsonb default '{}' not null,queue text default 'default' not null,tags varchar(255)[] default '{}' not null);
INSERT INTO river_job(state,attempted_at) select s::river_job_state, now() from unnest(array['available','available','running','scheduled','retryable','discarded','cancelled','completed','pending']) s;
CREATE TYPE oban_job_state as enum('available','scheduled','executing','retryable','completed','discarded','cancelled');
CREATE TABLE oban_jobs(
  id bigserial primary key,state oban_job_state default 'available' not null,queue text default 'default' not null,worker text not null default 'w',args jsonb default '{}' not null,errors jsonb[] default '{}' not null,attempt int default 0 not null,max_attempts int default 20 not null,inserted_at timestamp default timezone('UTC',now()) not null,scheduled_at timestamp default timezone('UTC',now()) not null,attempted_at timestamp,completed_at timestamp,attempted_by text[],discarded_at timestamp,priority int default 0 not null,tags varchar(255)[] default '{}',meta jsonb default '{}',cancelled_at timestamp);
INSERT INTO oban_jobs(state,attempted_at) select s::oban_job_state, timezone('UTC',now()) from unnest(array['available','available','executing','scheduled','retryable','discarded','cancelled','completed']) s;
CREATE TABLE solid_queue_jobs(
  id bigserial primary key,queue_name varchar not null,class_name varchar not null,arguments text,priority int default 0 not null,active_job_id varchar,scheduled_at timestamp,finished_at timestamp,concurrency_key varchar,created_at timestamp not null,updated_at timestamp not null);
CREATE TABLE solid_queue_ready_executions(
  id bigserial primary key,job_id bigint not null,queue_name varchar not null,priority int default 0 not null,created_at timestamp not null);
CREATE TABLE solid_queue_scheduled_executions(
  id bigserial primary key,job_id bigint not null,queue_name varchar not null,priority int default 0 not null,scheduled_at timestamp not null,created_at timestamp not null);
CREATE TABLE solid_queue_blocked_executions(
  id bigserial primary key,job_id bigint not null,queue_name varchar not null,priority int default 0 not null,concurrency_key varchar not null,expires_at timestamp not null,created_at timestamp not null);
CREATE TABLE solid_queue_claimed_executions(
  id bigserial primary key,job_id bigint not null,process_id bigint,created_at timestamp not null);
CREATE TABLE solid_queue_failed_executions(
  id bigserial primary key,job_id bigint not null,error text,created_at timestamp not null);
INSERT INTO solid_queue_jobs(queue_name,class_name,created_at,updated_at) select 'mail','J',timezone('UTC',now()),timezone('UTC',now()) from generate_series(1,6);
INSERT INTO solid_queue_ready_executions(job_id,queue_name,created_at) values(1,'mail',timezone('UTC',now())),(2,'mail',timezone('UTC',now()));
INSERT INTO solid_queue_scheduled_executions(job_id,queue_name,scheduled_at,created_at) values(3,'mail',timezone('UTC',now()),timezone('UTC',now()));
INSERT INTO solid_queue_blocked_executions(job_id,queue_name,concurrency_key,expires_at,created_at) values(4,'mail','k',timezone('UTC',now()),timezone('UTC',now()));
INSERT INTO solid_queue_claimed_executions(job_id,created_at) values(5,timezone('UTC',now()));
INSERT INTO solid_queue_failed_executions(job_id,created_at) values(6,timezone('UTC',now()));
CREATE TABLE good_jobs(
  id uuid default gen_random_uuid() primary key,queue_name text,priority int,serialized_params jsonb,scheduled_at timestamp,performed_at timestamp,finished_at timestamp,error text,created_at timestamp not null,updated_at timestamp not null,active_job_id uuid);
INSERT INTO good_jobs(queue_name,scheduled_at,performed_at,finished_at,error,created_at,updated_at) select q,s,p,f,e,timezone('UTC',now()),timezone('UTC',now()) from (values ('mail'::text,null::timestamp,null::timestamp,null::timestamp,null::text),('mail',timezone('UTC',now())+'1 hour',null,null,null),('mail',timezone('UTC',now())+'1 hour',timezone('UTC',now()),null,'x'),('mail',null,timezone('UTC',now()),null,null),('mail',null,timezone('UTC',now()),timezone('UTC',now()),'x'),('mail',null,timezone('UTC',now()),timezone('UTC',now()),null)) v(q,s,p,f,e);
CREATE SCHEMA pgmq;
CREATE TABLE pgmq.meta(queue_name varchar unique not null,is_partitioned boolean not null default false,is_unlogged boolean not null default false,created_at timestamptz default now() not null);
INSERT INTO pgmq.meta(queue_name) values('Mail'),('empty');
CREATE TABLE pgmq.q_mail(msg_id bigint primary key generated always as identity,read_ct int default 0 not null,enqueued_at timestamptz default now() not null,vt timestamptz not null,message jsonb,headers jsonb);
CREATE TABLE pgmq.q_empty (like pgmq.q_mail including all);
INSERT INTO pgmq.q_mail(vt,read_ct) values(now(),0),(now(),1),(now()+'1 hour',1),(now()+'1 hour',0);
