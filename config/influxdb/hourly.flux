// InfluxDB 2 task: hourly means of every point that carries numbers, kept in a second bucket for years.
// influx task create --org ORG -f hourly.flux   (the bucket "plant_hourly" must exist)
option task = {name: "gridgate hourly", every: 1h, offset: 5m}

from(bucket: "plant")
    |> range(start: -task.every)
    |> filter(fn: (r) => r._measurement == "gridgate" and r._field == "value")
    |> aggregateWindow(every: 1h, fn: mean, createEmpty: false)
    |> to(bucket: "plant_hourly")
