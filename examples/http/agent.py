import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Shouter(BaseHTTPRequestHandler):
    def do_POST(self):
        assignment = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        report = {"status": "SUCCEEDED", "output": {"text": assignment["input"].upper()}}
        body = json.dumps(report).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

ThreadingHTTPServer(("localhost", 9000), Shouter).serve_forever()
