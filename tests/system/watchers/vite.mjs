// A dev server of the current folder, and a client that does as a browser does: it loads modules, hears of
// updates, and loads what they name.
import { setTimeout } from 'node:timers/promises';
import { createServer } from 'vite';
import WebSocket from 'ws';

const modules = ['written.mjs', 'replaced.mjs'];
const server = await createServer({ server: { host: '127.0.0.1' } });
await server.listen();
const at = `127.0.0.1:${server.httpServer.address().port}`;

// It serves before it watches.
const watched = () => Object.values(server.watcher.getWatched()).flat();
while (![...modules, 'index.html'].every((file) => watched().includes(file))) await setTimeout(10);

async function load(what, path) {
    const text = await (await fetch(`http://${at}${path}`)).text();
    console.log(what, text.match(/\w+ \d/)[0]);
}

new WebSocket(`ws://${at}`, 'vite-hmr').on('message', async (data) => {
    const { type, updates = [] } = JSON.parse(data);
    if (type === 'connected') for (const module of modules) await load('loaded', `/${module}`);
    for (const { path, timestamp } of updates) await load(type, `${path}?t=${timestamp}`);
    if (type === 'full-reload') console.log(type);
});
