// Notes each request that came whole, one line of JSON each.
'use strict';

const fs = require('node:fs');
const http = require('node:http');

const [port, seen] = process.argv.slice(2);

http.createServer((request, response) => {
  const pieces = [];
  request.on('data', (piece) => pieces.push(piece));
  request.on('error', () => {});
  request.on('end', () => {
    const body = Buffer.concat(pieces).toString('latin1');
    const note = { method: request.method, target: request.url, body };
    fs.appendFileSync(seen, `${JSON.stringify(note)}\n`);
    response.end('ok');
  });
}).listen(Number(port), '127.0.0.1');
