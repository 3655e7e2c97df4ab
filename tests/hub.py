"""A stand-in for the Hugging Face hub: ``python -m tests.hub PORT`` keeps what is pushed to it in memory."""

import base64
import hashlib
import json
import re
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOKEN = 'hf_stand_in'
REPOSITORIES: dict[str, dict[str, bytes]] = {}
COMMIT = hashlib.sha1(b'the one commit').hexdigest()


class Hub(BaseHTTPRequestHandler):
    """The calls of its client that create, fill and fetch a model's repository."""

    protocol_version = 'HTTP/1.1'

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get('Content-Length') or 0))
        if self.headers.get('Authorization') != f'Bearer {TOKEN}' and 'validate-yaml' not in self.path:
            self.answer(401, dict(error='Invalid credentials'))
        elif self.path == '/api/repos/create':
            asked = json.loads(body)
            name = f'{asked["organization"]}/{asked["name"]}' if asked.get('organization') else asked['name']
            REPOSITORIES.setdefault(name, {})
            self.answer(200, dict(url=f'http://{self.headers["Host"]}/{name}', name=name))
        elif 'preupload' in self.path:
            files = [
                dict(path=file['path'], uploadMode='regular', shouldIgnore=False) for file in json.loads(body)['files']
            ]
            self.answer(200, dict(files=files))
        elif found := re.match(r'/api/models/(.+)/commit/main', self.path):
            for line in map(json.loads, body.splitlines()):
                if line['key'] == 'file':
                    REPOSITORIES[found[1]][line['value']['path']] = base64.b64decode(line['value']['content'])
            self.answer(
                200, dict(success=True, commitOid=COMMIT, commitUrl=f'http://{self.headers["Host"]}/{found[1]}')
            )
        else:
            self.answer(200, dict(errors=[], warnings=[]))

    def do_GET(self):
        found = re.match(r'/api/models/([^/]+/[^/?]+)(.*)', self.path) or re.match(
            r'/([^/]+/[^/]+)/resolve/[^/]+/(.+)', self.path
        )
        files = REPOSITORIES.get(found[1]) if found else None
        if files is None:
            self.answer(404, dict(error='Repository not found'), {'X-Error-Code': 'RepoNotFound'})
        elif '/tree/' in self.path:
            self.answer(200, [dict(type='file', path=name, size=len(files[name]), oid=name) for name in files])
        elif self.path.startswith('/api/'):
            siblings = [dict(rfilename=name) for name in files]
            self.answer(200, dict(id=found[1], modelId=found[1], sha=COMMIT, siblings=siblings, private=False, tags=[]))
        elif found[2] not in files:
            self.answer(404, {}, {'X-Error-Code': 'EntryNotFound'})
        else:
            content = files[found[2]]
            self.send(200, content, {'ETag': f'"{hashlib.sha1(content).hexdigest()}"', 'X-Repo-Commit': COMMIT})

    do_HEAD = do_GET

    def answer(self, code, content, headers=()):
        self.send(code, json.dumps(content).encode(), {'Content-Type': 'application/json', **dict(headers)})

    def send(self, code, content, headers):
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header('Content-Length', str(len(content)))
        self.end_headers()
        if self.command != 'HEAD':
            self.wfile.write(content)


if __name__ == '__main__':
    ThreadingHTTPServer(('127.0.0.1', int(sys.argv[1])), Hub).serve_forever()
