// What chokidar tells of the current folder, a line each. The argument is its package.
const { watch } = await import(process.argv[2]);

watch('.', { ignoreInitial: true })
    .on('ready', () => console.log('ready'))
    .on('all', (event, path) => console.log(event, path));
