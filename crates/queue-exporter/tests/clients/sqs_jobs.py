"""SQS: ENDPOINT: queues with waiting, delayed and received messages, and one with a dead-letter queue.

Prints the access key of a user that may only read the queues, for requests that the server verifies from then on.
"""
import json
import sys

import boto3

options = {
    "endpoint_url": sys.argv[1],
    "region_name": "eu-west-1",
    "aws_access_key_id": "admin",
    "aws_secret_access_key": "admin",
}
sqs = boto3.client("sqs", **options)
dead = sqs.create_queue(QueueName="shop-dead")["QueueUrl"]
arn = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 3})
orders = sqs.create_queue(QueueName="shop-orders", Attributes={"RedrivePolicy": policy})["QueueUrl"]
for n in range(6):
    sqs.send_message(QueueUrl=orders, MessageBody=str(n))
sqs.receive_message(QueueUrl=orders, MaxNumberOfMessages=2)
sqs.send_message(QueueUrl=orders, MessageBody="later", DelaySeconds=900)
sqs.send_message(QueueUrl=dead, MessageBody="dead")
sqs.create_queue(QueueName="other")

iam = boto3.client("iam", **options)
iam.create_user(UserName="reader")
actions = ["sqs:ListQueues", "sqs:GetQueueAttributes"]
statement = [{"Effect": "Allow", "Action": actions, "Resource": "*"}]
document = json.dumps({"Version": "2012-10-17", "Statement": statement})
iam.put_user_policy(UserName="reader", PolicyName="read", PolicyDocument=document)
iam.create_role(RoleName="exporter", AssumeRolePolicyDocument="{}")
iam.put_role_policy(RoleName="exporter", PolicyName="read", PolicyDocument=document)
key = iam.create_access_key(UserName="reader")["AccessKey"]
print(key["AccessKeyId"], key["SecretAccessKey"], end="")
