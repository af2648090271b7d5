#!/usr/bin/python3
# How soon nodes of a mesh reach each other, and what they cost when nothing happens; whole programs in namespaces.
#
#	tests/bench/mesh-contact.py [ROUNDS]
#
# For root, with ping(8). Prints medians and worst: a start until the first ping is answered, a peer that is killed and
# started again, an underlay address that changes, twenty nodes at once until all 380 pairs answer, then processor time,
# packets and memory of idle nodes in a minute, memory of one to which 19 peers send all they can (TCP, then datagrams) and
# that answers with as much, and memory with 1,000 members known (tests/tools/meshrecords).
import os, re, select, selectors, signal, socket, statistics, struct, subprocess, sys, tempfile, time, ctypes

SRC = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MESHANICS = os.environ.get('MESHANICS', SRC + '/build/meshanics')
ROUNDS = int(sys.argv[1]) if len(sys.argv) > 1 else 7
NS = 'mc%d-' % os.getpid()
HOME = tempfile.mkdtemp(prefix='mesh-contact.')
libc = ctypes.CDLL(None, use_errno=True)


def sh(command):
    return subprocess.run(command, shell=True, capture_output=True, text=True)


def make(n):
    sh(f'ip netns add {NS}0; ip -n {NS}0 link add br0 type bridge; ip -n {NS}0 link set br0 up')
    for i in range(1, n + 1):
        sh(f'ip netns add {NS}{i}; ip -n {NS}{i} link set lo up; ip -n {NS}0 link add p{i} type veth peer name eth0 netns {NS}{i};'
           f'ip -n {NS}0 link set p{i} master br0 up; ip -n {NS}{i} addr add 192.0.2.{i}/24 dev eth0; ip -n {NS}{i} link set eth0 up')
    sh(f'{MESHANICS} --home {HOME}/1 mgmt-keys add --name net --never-expires --caps mesh-route --allow tcp:5001 --allow udp:5001')
    key = sh(f'{MESHANICS} --home {HOME}/1 mgmt-keys show net --quiet').stdout
    with open(os.open(HOME + '/key', os.O_CREAT | os.O_WRONLY, 0o600), 'w') as f:
        f.write(key)
    for i in range(2, n + 1):
        sh(f'{MESHANICS} --home {HOME}/{i} mgmt-keys add --name net --caps mesh-route --key-file {HOME}/key')


def start(i):
    return subprocess.Popen(['ip', 'netns', 'exec', f'{NS}{i}', MESHANICS, 'meshlan', 'run', '--home', f'{HOME}/{i}', '--name',
                             f'n{i}', '--no-dns'], stderr=open(f'{HOME}/{i}.log', 'w'))


def address(i):
    m = re.search(r'inet ([\d.]+)/', sh(f'ip -n {NS}{i} -4 -o addr show mesh0').stdout)
    return m and m.group(1)


def checksum(b):
    s = sum(struct.unpack('!%dH' % (len(b) // 2), b))
    s = (s >> 16) + (s & 0xffff)
    return ~(s + (s >> 16)) & 0xffff


# In a child that has entered the namespace: ask all of `want` every `every` seconds; the time at which the last one answered.
def answered(i, want, since, every=0.01, limit=30):
    r, w = os.pipe()
    if os.fork() == 0:
        fd = os.open(f'/run/netns/{NS}{i}', os.O_RDONLY)
        libc.setns(fd, 0x40000000)
        s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
        s.settimeout(0.002)
        left, last, n = set(want), 0, 0
        while left and time.time() - since < limit:
            if time.time() - last > every:
                last, n = time.time(), n + 1
                h = struct.pack('!BBHHH', 8, 0, 0, i, n & 0xffff)
                h = struct.pack('!BBHHH', 8, 0, checksum(h), i, n & 0xffff)
                for a in left:
                    try:
                        s.sendto(h, (a, 0))
                    except OSError:
                        pass
            try:
                d, f = s.recvfrom(2000)
                if d[20] == 0 and struct.unpack('!H', d[24:26])[0] == i:
                    left.discard(f[0])
            except OSError:
                pass
        os.write(w, b'%f %d' % (time.time() - since, len(left)))
        os._exit(0)
    os.close(w)
    return r


def wait(r):
    t, left = os.read(r, 100).split()
    os.close(r)
    return float(t) * 1000 if left == b'0' else float('inf')


# A process in a namespace; it ends by itself.
def inside(i, work):
    pid = os.fork()
    if pid == 0:
        libc.setns(os.open(f'/run/netns/{NS}{i}', os.O_RDONLY), 0x40000000)
        try:
            work()
        finally:
            os._exit(0)
    return pid


# Echoes, until `seconds` have gone, whatever comes to this address by TCP and UDP, and says how much on w.
def echo(address, seconds, w):
    s = selectors.DefaultSelector()
    tcp, udp = socket.create_server((address, 5001), backlog=64), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind((address, 5001))
    total, end = 0, time.time() + seconds
    for x in tcp, udp:
        s.register(x, selectors.EVENT_READ)
    while time.time() < end:
        for key, _ in s.select(0.1):
            x = key.fileobj
            try:
                if x is tcp:
                    c = x.accept()[0]
                    c.setblocking(False)
                    s.register(c, selectors.EVENT_READ)
                    continue
                b, at = x.recvfrom(1 << 17)
                total += len(b)
                x.sendto(b, at) if x is udp else x.send(b)
            except BlockingIOError:
                pass
            except OSError:
                s.unregister(x)
    os.write(w, b'%d' % total)


def load(address, seconds, kind):
    x = socket.socket(socket.AF_INET, kind)
    x.connect((address, 5001))
    x.setblocking(False)
    b, end = b'x' * (1200 if kind == socket.SOCK_DGRAM else 1 << 17), time.time() + seconds
    while time.time() < end:
        select.select([x], [x], [], 0.1)
        for f in x.send, lambda _: x.recv(1 << 17):
            try:
                f(b)
            except OSError:
                pass


# Bytes that came to node 1 from all others, and the most memory that it had meanwhile.
def loaded(address, node, kind, seconds=5):
    r, w = os.pipe()
    pids = [inside(1, lambda: echo(address, seconds + 2, w))]
    time.sleep(0.5)
    pids += [inside(i, lambda: load(address, seconds, kind)) for i in range(2, 21)]
    most, end = 0, time.time() + seconds
    while time.time() < end:
        most = max(most, status(node, 'VmRSS'))
        time.sleep(0.05)
    for p in pids:
        os.waitpid(p, 0)
    total = int(os.read(r, 100))
    os.close(r)
    os.close(w)
    return total, most


def say(what, ms):
    print('%-52s median %6.0f  worst %6.0f' % (what, statistics.median(ms), max(ms)))


def status(p, key):
    return int(re.search(key + r':\s*(\d+)', open(f'/proc/{p.pid}/status').read()).group(1))


def cpu(p):
    f = open(f'/proc/{p.pid}/schedstat').read().split()
    total = int(f[0])
    for t in os.listdir(f'/proc/{p.pid}/task'):
        if t != str(p.pid):
            total += int(open(f'/proc/{p.pid}/task/{t}/schedstat').read().split()[0])
    return total / 1e6


def sent(p):
    return int(open(f'/proc/{p.pid}/net/dev').read().split('eth0:')[1].split()[9])


try:
    make(20)
    b = start(2)
    time.sleep(1)
    far = address(2)
    first, again, moved = [], [], []
    for k in range(ROUNDS):
        t = time.time()
        a = start(1)
        first.append(wait(answered(1, [far], t)))
        time.sleep(0.5)
        b.kill()
        b.wait()
        time.sleep(0.2)
        t = time.time()
        b = start(2)
        again.append(wait(answered(1, [far], t)))
        time.sleep(0.5)
        old, new = 2 + k % 2 * 100, 2 + (k + 1) % 2 * 100
        t = time.time()
        sh(f'ip -n {NS}2 addr del 192.0.2.{old}/24 dev eth0; ip -n {NS}2 addr add 192.0.2.{new}/24 dev eth0')
        t = time.time()
        moved.append(wait(answered(1, [far], t)))
        time.sleep(0.5)
        a.terminate()
        a.wait()
        time.sleep(0.5)
    b.terminate()
    b.wait()
    say('start until the first ping is answered, ms', first)
    say('killed and started: until it answers, ms', again)
    say('another underlay address: until it answers, ms', moved)

    pairs = []
    for k in range(max(2, ROUNDS // 2)):
        nodes = [start(i) for i in range(1, 21)]
        have = {}
        while len(have) < 20:
            have = {i: a for i in range(1, 21) for a in [address(i)] if a}
        t = time.time()
        waits = [answered(i, [a for j, a in have.items() if j != i], t, 0.05) for i in have]
        pairs.append(max(wait(r) for r in waits))
        if k + 1 < max(2, ROUNDS // 2):
            for p in nodes:
                p.terminate()
            for p in nodes:
                p.wait()
    say('20 nodes, from the last interface: all pairs, ms', pairs)
    time.sleep(30)
    c, s = [cpu(p) for p in nodes], [sent(p) for p in nodes]
    time.sleep(60)
    say('idle, 20 nodes: processor ms a minute', [cpu(p) - x for p, x in zip(nodes, c)])
    say('idle, 20 nodes: packets sent a minute', [sent(p) - x for p, x in zip(nodes, s)])
    say('memory (RSS), KiB', [status(p, 'VmRSS') for p in nodes])
    for what, kind in ('TCP', socket.SOCK_STREAM), ('UDP', socket.SOCK_DGRAM):
        total, most = loaded(have[1], nodes[0], kind)
        say(f'19 peers send to one by {what}: memory (RSS), KiB', [most])
        say(f'19 peers send to one by {what}: MB in 5 s', [total / 1e6])
    for p in nodes:
        p.terminate()
    for p in nodes:
        p.wait()
    net = f'{HOME}/1/mesh/networks/' + os.listdir(f'{HOME}/1/mesh/networks')[0]
    sh(f'{SRC}/build/tests/tools/meshrecords {net}/key 1000 >{net}/records')
    t = time.time()
    a = start(1)
    while sh(f'{MESHANICS} meshlan status --home {HOME}/1').returncode != 0:
        time.sleep(0.01)
    say('1,000 members known: start until status answers, ms', [(time.time() - t) * 1000])
    time.sleep(2)
    say('1,000 members known: memory (RSS), KiB', [status(a, 'VmRSS')])
    a.terminate()
    a.wait()
finally:
    for i in range(0, 21):
        for p in sh(f'ip netns pids {NS}{i}').stdout.split():
            os.kill(int(p), signal.SIGKILL)
        sh(f'ip netns del {NS}{i}')
    sh(f'rm -rf {HOME}')
