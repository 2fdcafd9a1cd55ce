"""The gateway that speaks the JSON protocol of Amazon SQS: queues for boto3, Celery and whatever else uses it."""
