// A project's test run that is killed: its reaper clears up behind it.
import assert from 'node:assert/strict';
import { execSync, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import Docker from 'dockerode';

const docker = new Docker();
const here = fileURLToPath(new URL('.', import.meta.url));
const socket = new URL(process.env.DOCKER_HOST).pathname;

// The reaper is a script, a docker that belongs to no desktop, and the libraries that this one needs.
execSync(`tar -ch -C ${here}reaper . -C "$SLIPWAY_OLD_CLI" docker $(ldd "$SLIPWAY_OLD_CLI/docker" | grep -o '/[^ ]*') |
          DOCKER_BUILDKIT=0 docker build -q -t reaper -`, { stdio: 'pipe' });

// Another's; nobody may touch it.
const bystander = await docker.createContainer({
    Image: 'box', Cmd: ['sleep', '1000'], Labels: { 'org.testcontainers.session-id': 'another' },
});
await bystander.start();

const run = spawn(process.execPath, [`${here}started_containers.mjs`], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: {
        ...process.env,
        RYUK_CONTAINER_IMAGE: 'reaper',
        // Where it runs in a container itself it would take the gateway of the engine's network for the host.
        TESTCONTAINERS_HOST_OVERRIDE: 'localhost',
        TMPDIR: process.cwd(),
        DEBUG: 'testcontainers',  // To standard error, which is shown if this fails.
    },
});
process.once('exit', () => run.kill('SIGKILL'));
const { value } = await createInterface(run.stdout)[Symbol.asyncIterator]().next();
assert(value, 'the run ended before it said what it started');
const started = JSON.parse(value);
assert.equal(await (await fetch(started.url)).text(), 'from the host\n');

const about = await docker.getContainer(started.id).inspect();
assert.deepEqual(about.Mounts.map((mount) => mount.Source), [`${process.cwd()}/link`]);
await assert.rejects(docker.getContainer(started.stopped).inspect(), { statusCode: 404 });

const session = about.Config.Labels['org.testcontainers.session-id'];
const reapers = await docker.listContainers({ filters: { label: ['org.testcontainers.ryuk=true'] } });
assert.deepEqual(reapers.map((reaper) => reaper.Names), [[`/testcontainers-ryuk-${session}`]]);
assert.deepEqual(reapers[0].Mounts.map((mount) => mount.Source), [socket]);

const reaped = docker.getContainer(reapers[0].Id).wait({ condition: 'removed' });
run.kill('SIGKILL');
console.error('killed; waiting for the reaper');
await reaped;
const { id, network, image } = started;
for (const thing of [docker.getContainer(id), docker.getNetwork(network), docker.getImage(image)])
    await assert.rejects(thing.inspect(), { statusCode: 404 });
assert.equal((await bystander.inspect()).State.Running, true);
console.log('all done');
