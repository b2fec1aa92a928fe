"""HTTP: transport, downloads, limits of hosts, address guard, retry policy, robots.txt.

Other packages import:

- congestion: CongestionWindow
- connectivity: ConnectivityMonitor, ConnectivityProber, MAX_OUTAGE_RETRIES, ProbeTarget
- curl_transport: CurlTransport, MAX_BUFFERED_BYTES
- download: OutOfReachError, Validators, download, innermost_reason, is_url
- guarded_session: CONNECT_TIMEOUT_S, open_session
- host_table: HOST_FAULTS, HostTable, LongPause, host_down_response
- http: MAX_REDIRECTS, Request, Response, Transport
- retry_policy, and from it backoff_seconds
- robots: Robots, has_opted_out, next_redirect
- url_guard: PRIVATE and the module itself
"""
