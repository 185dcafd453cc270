"""A network between an instance and a server that can be stalled and cut.

Both directions of each connection go through here. While it is stalled, bytes wait (nobody is told, as
when a cable is pulled); when it is cut, connections are reset and new ones, too; what is swallowed,
requests with a text in them, never comes through. All until it is healed.
The loop runs in a thread of its own."""

import asyncio
import threading


class Proxy:
    def __init__(self, to_port):
        self.to_port = to_port
        self.writers = set()
        self.is_cut = False
        self.swallowed = None
        self.loop = asyncio.new_event_loop()
        ready = threading.Event()

        async def begin():
            self.open = asyncio.Event()
            self.open.set()
            server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
            self.port = server.sockets[0].getsockname()[1]
            ready.set()

        self.loop.create_task(begin())
        threading.Thread(target=self.loop.run_forever, daemon=True).start()
        ready.wait()

    async def pump(self, reader, writer):
        try:
            while data := await reader.read(65536):
                await self.open.wait()
                if self.swallowed is not None and self.swallowed in data:
                    continue
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()

    async def serve(self, reader, writer):
        self.writers.add(writer)
        try:
            await self.open.wait()
            if self.is_cut:
                writer.transport.abort()
                return
            there, back = await asyncio.open_connection("127.0.0.1", self.to_port)
            self.writers.add(back)
            await asyncio.gather(self.pump(reader, back), self.pump(there, writer))
            self.writers.discard(back)
        except OSError:
            writer.transport.abort()  # the broker is away
        finally:
            self.writers.discard(writer)

    def stall(self):
        self.loop.call_soon_threadsafe(self.open.clear)

    def swallow(self, text):
        self.swallowed = text

    def cut(self):
        def now():
            self.is_cut = True
            for writer in self.writers:
                writer.transport.abort()
        self.loop.call_soon_threadsafe(now)

    def heal(self):
        def now():
            self.is_cut = False
            self.swallowed = None
            self.open.set()
        self.loop.call_soon_threadsafe(now)
