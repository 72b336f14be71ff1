// A project's test run: it starts what it needs through testcontainers, says where that is, and would go on.
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { text } from 'node:stream/consumers';
import { GenericContainer, Network, Wait } from 'testcontainers';

setInterval(() => {}, 1000);  // Else it would end while it waits for logs: the library lets go of their socket.
const link = `${process.cwd()}/link`;
const serving = ['sh', '-c', 'echo serving; exec httpd -f -p 80 -h /site'];

const network = await new Network().start();
const web = await new GenericContainer('box')
    .withCommand(serving)
    .withBindMounts([{ source: link, target: '/site', mode: 'ro' }])
    .withCopyContentToContainer([{ content: 'copied\n', target: '/copy' }])
    .withNetwork(network)
    .withNetworkAliases('web')
    .withExposedPorts(80)
    .withWaitStrategy(Wait.forAll([
        Wait.forLogMessage('serving'), Wait.forListeningPorts(), Wait.forHttp('/f', 80),
    ]))
    .start();
assert.deepEqual(await web.exec(['cat', '/copy']),
                 { output: 'copied\n', stdout: 'copied\n', stderr: '', exitCode: 0 });

// An image of its own, and a container that reaches the other by its name and is stopped as it should be.
mkdirSync('image');
writeFileSync('image/Dockerfile', 'FROM box\nRUN echo built >/built\n');
const image = await GenericContainer.fromDockerfile('image').build();
const peer = await image
    .withCommand(['sh', '-c', 'cat /built; wget -qO- http://web/f'])
    .withNetwork(network)
    .withWaitStrategy(Wait.forOneShotStartup())
    .start();
assert.equal(await text(await peer.logs()), 'built\nfrom the host\n');
await peer.stop();

console.log(JSON.stringify({
    id: web.getId(), network: network.getId(), image: image.imageName.string, stopped: peer.getId(),
    url: `http://${web.getHost()}:${web.getMappedPort(80)}/f`,
}));
