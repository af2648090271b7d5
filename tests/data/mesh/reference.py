# Recomputes, from the text of meshanics-mesh-protocol(7) and with no code of the project, the numbers that tests of the
# mesh and the worked examples of meshanics-mesh(7) hold: python3 tests/data/mesh/reference.py
import hashlib,struct,ipaddress
C=b"meshanics-mesh-1 "
def H(label,x): return hashlib.blake2b(C+label.encode()+b"\0"+x,digest_size=32).digest()
def K(key,label,x): return hashlib.blake2b(C+label.encode()+b"\0"+x,digest_size=32,key=key).digest()
nid=bytes(range(16)); created=1795843200
rng=int(ipaddress.ip_address('198.18.32.0')); prefix=19; blocks=2**(29-prefix)
secret=bytes([0x5e]*32); owner=bytes([0x0a]*32)
fixed=nid+struct.pack('>IQQIB',1,created,0,rng,prefix)
x=fixed+owner
for l in('psk','outer','mask','rv'): print(l,K(secret,l,x).hex())
import base64
b=fixed+secret+owner+bytes([4])+b'home'
t=b+hashlib.sha256(b'mrk1'+b).digest()[:4]
print('text','mrk1'+base64.urlsafe_b64encode(t).decode().rstrip('='))
print('commit',H('generation',b[:105]).hex())
def node(s,d): return H('node',s+d)[:16]
def idx(n,o,a): return struct.unpack('>Q',H('block',nid+n+struct.pack('>HI',o,a))[:8])[0]%blocks
v6=b'\xfd\x12'+H('ipv6',nid)[:4]
print('v6',str(ipaddress.ip_address(v6+bytes(10))))
def show(name,n,o,a):
    i=idx(n,o,a); print(name,n.hex(),'ord',o,'att',a,'block',i,ipaddress.ip_address(rng+8*i+1),ipaddress.ip_address(v6+struct.pack('>H',i)+bytes(7)+b'\1'))
nas=node(bytes([1]*32),bytes([2]*32)); show('nas',nas,0,0); show('nas',nas,1,0)
k=3
while True:
    other=node(struct.pack('>I',k)*8,bytes([4]*32))
    if idx(other,0,0)==idx(nas,0,0): break
    k+=1
print('k',hex(k)); show('laptop',other,0,0); show('laptop',other,0,1)
print('lower', other<nas)
print('digest',H('digest',nas+struct.pack('>Q',7))[:8].hex())
# chacha tag without aad
def rotl(v,c): return ((v<<c)&0xffffffff)|(v>>(32-c))
def block(key,ctr,nonce):
    s=[0x61707865,0x3320646e,0x79622d32,0x6b206574]+list(struct.unpack('<8I',key))+[ctr]+list(struct.unpack('<3I',nonce))
    w=s[:]
    def qr(a,b,c,d):
        w[a]=(w[a]+w[b])&0xffffffff; w[d]=rotl(w[d]^w[a],16)
        w[c]=(w[c]+w[d])&0xffffffff; w[b]=rotl(w[b]^w[c],12)
        w[a]=(w[a]+w[b])&0xffffffff; w[d]=rotl(w[d]^w[a],8)
        w[c]=(w[c]+w[d])&0xffffffff; w[b]=rotl(w[b]^w[c],7)
    for _ in range(10):
        qr(0,4,8,12);qr(1,5,9,13);qr(2,6,10,14);qr(3,7,11,15);qr(0,5,10,15);qr(1,6,11,12);qr(2,7,8,13);qr(3,4,9,14)
    return struct.pack('<16I',*[(a+b)&0xffffffff for a,b in zip(w,s)])
def poly(key,msg):
    r=int.from_bytes(key[:16],'little')&0x0ffffffc0ffffffc0ffffffc0fffffff; s=int.from_bytes(key[16:],'little'); a=0
    for i in range(0,len(msg),16):
        a=(a+int.from_bytes(msg[i:i+16]+b'\1','little'))*r%(2**130-5)
    return ((a+s)%2**128).to_bytes(16,'little')
def seal(key,nonce,pt,ad=b''):
    ks=b''.join(block(key,1+i,nonce) for i in range((len(pt)+63)//64))
    ct=bytes(a^b for a,b in zip(pt,ks)); pad=lambda b:b'\0'*(-len(b)%16)
    return ct,poly(block(key,0,nonce)[:32],ad+pad(ad)+ct+pad(ct)+struct.pack('<QQ',len(ad),len(ct)))
key=bytes(range(0x80,0xa0)); nonce=bytes.fromhex('070000004041424344454647')
pt=b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it."
ct,tag=seal(key,nonce,pt,bytes.fromhex('50515253c0c1c2c3c4c5c6c7')); print('rfc tag',tag.hex(),tag.hex()=='1ae10b594f09e26a7e902ecbd0600691')
ct,tag=seal(key,nonce,pt); print('ct',ct.hex()); print('tag0',tag.hex())
