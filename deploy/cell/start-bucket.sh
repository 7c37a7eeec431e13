#!/bin/sh
# One SeaweedFS with a bucket for images, which syncs what it stores before it says so. In earnest: several, or any S3.
set -eu
umask 077
cat > /tmp/s3.json <<JSON
{"identities": [{"name": "gatepost", "credentials": [{"accessKey": "gatepost", "secretKey": "$BUCKET_SECRET"}],
 "actions": ["Read:images", "Write:images", "List:images"]}]}
JSON
weed server -dir=/data -ip=bucket -ip.bind=0.0.0.0 -master.telemetry=false -filer -s3 -s3.port=8333 -s3.config=/tmp/s3.json &
server=$!
trap 'kill "$server"; wait "$server"' TERM INT
until printf 's3.bucket.create -name images\nfs.configure -locationPrefix=/buckets/ -fsync -apply\n' \
    | weed shell -master=bucket:9333 -filer=bucket:8888; do
    kill -0 "$server"
    sleep 1
done
wait "$server"
