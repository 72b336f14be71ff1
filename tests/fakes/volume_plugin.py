"""A volume plugin as Docker's legacy protocol has it: keeps each volume in a folder, which it mounts for the first
of its users and unmounts after the last, as one of a network file system does.

volume_plugin.py SOCKET FOLDER: prints each call with its body, a line each, until it is killed. Another of the same
folder has the same volumes.
"""
import json
import os
import shutil
import subprocess
import sys
from http.server import BaseHTTPRequestHandler
from socketserver import UnixStreamServer

SOCKET, FOLDER = sys.argv[1:]


def kept(name):
    return os.path.join(FOLDER, "kept", name)


def mounted(name):
    return os.path.join(FOLDER, "mounted", name)


def described(name):
    return {"Name": name, "Mountpoint": mounted(name)}


def create(name, options):
    if "refuse" in options:
        return {"Err": options["refuse"]}
    users.setdefault(name, set())
    for folder in (kept(name), mounted(name)):
        os.makedirs(folder, exist_ok=True)
    return {}


def remove(name):
    del users[name]
    shutil.rmtree(kept(name))
    os.rmdir(mounted(name))
    return {}


def mount(name, user):
    if not users[name]:
        subprocess.run(["mount", "--bind", kept(name), mounted(name)], check=True)
    users[name].add(user)
    return {"Mountpoint": mounted(name)}


def unmount(name, user):
    users[name].discard(user)
    if not users[name]:
        subprocess.run(["umount", mounted(name)], check=True)
    return {}


CALLS = {
    "/Plugin.Activate": lambda call: {"Implements": ["VolumeDriver"]},
    "/VolumeDriver.Capabilities": lambda call: {"Capabilities": {"Scope": "global"}},
    "/VolumeDriver.Create": lambda call: create(call["Name"], call.get("Opts") or {}),
    "/VolumeDriver.Remove": lambda call: remove(call["Name"]),
    "/VolumeDriver.Mount": lambda call: mount(call["Name"], call["ID"]),
    "/VolumeDriver.Unmount": lambda call: unmount(call["Name"], call["ID"]),
    "/VolumeDriver.Path": lambda call: {"Mountpoint": mounted(call["Name"])},
    "/VolumeDriver.List": lambda call: {"Volumes": [described(name) for name in users]},
    "/VolumeDriver.Get": lambda call: {"Volume": described(call["Name"])} if call["Name"] in users else
    {"Err": f"no volume {call['Name']}"},
}


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        print(self.path, body.strip(), flush=True)
        answer = json.dumps(CALLS[self.path](json.loads(body or "{}"))).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_request(self, *_):
        pass


os.makedirs(kept(""), exist_ok=True)
users = {name: set() for name in os.listdir(kept(""))}  # Ids of who has it mounted, by the volume's name.
if os.path.exists(SOCKET):
    os.unlink(SOCKET)
UnixStreamServer(SOCKET, Handler).serve_forever()
