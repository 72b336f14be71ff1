// The client that Node's tools are written on, through most of what they use of it.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { PassThrough } from 'node:stream';
import { buffer, text } from 'node:stream/consumers';
import Docker from 'dockerode';

const docker = new Docker();  // By DOCKER_HOST.
const link = `${process.cwd()}/link`;

const tarOf = (...files) => spawn('tar', ['-c', ...files]).stdout;

// The two outputs that one stream carries; both end with it.
function outputsOf(stream) {
    const [out, err] = [new PassThrough(), new PassThrough()];
    docker.modem.demuxStream(stream, out, err);
    stream.on('end', () => { out.end(); err.end(); });
    return Promise.all([text(out), text(err)]);
}

assert.equal(String(await docker.ping()), 'OK');

const seen = new Set();
const events = await docker.getEvents({ filters: { type: ['container'] } });
const destroyed = new Promise((resolve) => {
    createInterface(events).on('line', (line) => {
        const { Action } = JSON.parse(line);
        seen.add(Action.split(':')[0]);
        if (Action === 'destroy') resolve();
    });
});

// Everything `cat` reads goes through the attached stream; closing that half of it ends the container.
const box = await docker.createContainer({
    name: 'node', Image: 'box', Cmd: ['cat'], OpenStdin: true, StdinOnce: true,
    HostConfig: { Binds: [`${link}:/b`] },
});
const attached = await box.attach({ stream: true, hijack: true, stdin: true, stdout: true, stderr: true });
const printed = outputsOf(attached);
await box.start();

const about = await box.inspect();
assert.deepEqual(about.HostConfig.Binds, [`${link}:/b`]);
assert.deepEqual(about.Mounts.map((mount) => mount.Source), [link]);
const [listed] = await docker.listContainers();
assert.deepEqual(listed.Mounts.map((mount) => mount.Source), [link]);

const exec = await box.exec({
    Cmd: ['sh', '-c', 'cat /b/f -; echo err >&2; exit 3'],
    AttachStdin: true, AttachStdout: true, AttachStderr: true,
});
const session = await exec.start({ hijack: true, stdin: true });
const said = outputsOf(session);
session.end('typed\n');
assert.deepEqual(await said, ['from the host\ntyped\n', 'err\n']);
assert.equal((await exec.inspect()).ExitCode, 3);

// A request to attach has its options as a body too, of which nothing may reach the container.
const turns = 50;
const listener = await docker.createContainer({ Image: 'box', Cmd: ['head', '-n', `${turns}`], OpenStdin: true });
await listener.start();
for (let turn = 0; turn < turns; turn++) {
    const stream = await listener.attach({ stream: true, hijack: true, stdin: true });
    stream.resume().end('one line\n');
    await once(stream, 'end');
}
const heard = await outputsOf(await listener.logs({ follow: true, stdout: true }));
assert.deepEqual(heard, ['one line\n'.repeat(turns), '']);

const put = Buffer.alloc(2_000_000, 'slipway');
writeFileSync('put', put);
await box.putArchive(tarOf('put'), { path: '/tmp' });
const untar = spawn('tar', ['-xO', 'put']);
(await box.getArchive({ path: '/tmp/put' })).pipe(untar.stdin);
assert(put.equals(await buffer(untar.stdout)));

// With the builder that came first, and with BuildKit, which asks back through a session of gRPC.
writeFileSync('Dockerfile', 'FROM box\nCOPY put /put\nRUN wc -c </put >/size\n');
for (const version of ['1', '2']) {
    const tag = `built:${version}`;
    const build = await docker.buildImage(tarOf('Dockerfile', 'put'), { t: tag, version });
    await new Promise((resolve, reject) => {
        docker.modem.followProgress(build, (error) => (error ? reject(error) : resolve()));
    });
    const out = new PassThrough();
    const [result] = await docker.run(tag, ['cat', '/size'], out, { HostConfig: { AutoRemove: true } });
    assert.equal(result.StatusCode, 0);
    assert.equal(String(out.read()), '2000000\r\n');  // docker.run() asks for a terminal.
}

await assert.rejects(docker.pull('localhost:1/none'), {
    statusCode: 500,
    message: /server error - Get "http:.*: dial tcp .*:1: connect: connection refused/,
});

const logged = outputsOf(await box.logs({ follow: true, stdout: true, stderr: true }));
const ended = box.wait();
attached.end('through attach\n');
assert.deepEqual(await printed, ['through attach\n', '']);
assert.deepEqual(await logged, ['through attach\n', '']);
assert.deepEqual(await ended, { StatusCode: 0 });

await box.remove();
await assert.rejects(box.inspect(), { statusCode: 404 });
await destroyed;
events.destroy();
for (const action of ['create', 'attach', 'start', 'exec_start', 'exec_die', 'die', 'destroy'])
    assert(seen.has(action), `${action} among ${[...seen]}`);
console.log('all done');
