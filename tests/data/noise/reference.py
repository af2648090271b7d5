# Noise_IKpsk2_25519_ChaChaPoly_BLAKE2b from the specification, with no code of the project: makes the messages of the
# vector beside this file, and prints whether they and the hash at the end are those: python3 tests/data/noise/reference.py
import hashlib,hmac,os,struct
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
P=2**255-19
def x25519(k,u):
    k=bytearray(k);k[0]&=248;k[31]&=127;k[31]|=64;k=int.from_bytes(k,'little');u=int.from_bytes(u,'little')&(2**255-1)
    x1,x2,z2,x3,z3,sw=u,1,0,u,1,0
    for t in reversed(range(255)):
        b=k>>t&1
        if sw^b: x2,x3,z2,z3=x3,x2,z3,z2
        sw=b
        A=x2+z2;AA=A*A%P;B=x2-z2;BB=B*B%P;E=AA-BB;C=x3+z3;D=x3-z3;DA=D*A%P;CB=C*B%P
        x3=(DA+CB)**2%P;z3=x1*(DA-CB)**2%P;x2=AA*BB%P;z2=E*(AA+121665*E)%P
    if sw: x2,x3,z2,z3=x3,x2,z3,z2
    return (x2*pow(z2,P-2,P)%P).to_bytes(32,'little')
B9=(9).to_bytes(32,'little')
v={}
for l in open(os.path.join(os.path.dirname(__file__),'ikpsk2-25519-chachapoly-blake2b.txt')):
    if l[0]=='#':continue
    a,b=l.split(); v.setdefault(a,[]).append(bytes.fromhex(b))
bl=lambda x: hashlib.blake2b(x).digest()
def hk(ck,ikm,n):
    t=hmac.new(ck,ikm,'blake2b').digest();o=[];p=b''
    for i in range(n): p=hmac.new(t,p+bytes([i+1]),'blake2b').digest();o.append(p)
    return o
h=b'Noise_IKpsk2_25519_ChaChaPoly_BLAKE2b'.ljust(64,b'\0');ck=h;k=None
def mh(x):
    global h;h=bl(h+x)
def mk(x):
    global ck,k,n;ck,k=hk(ck,x,2);k=k[:32];n=0
def enc(p):
    global n
    c,t=seal(k,bytes(4)+n.to_bytes(8,'little'),p,h);n+=1;mh(c+t);return c+t
mh(v['prologue'][0]);mh(v['init_remote_static'][0])
e=v['init_ephemeral'][0];E=x25519(e,B9);rs=v['init_remote_static'][0];s=v['init_static'][0];S=x25519(s,B9)
mh(E);mk(E);mk(x25519(e,rs));m=E+enc(S);mk(x25519(s,rs));m+=enc(v['payload'][0]);print(m==v['ciphertext'][0]); h1=h
f=v['resp_ephemeral'][0];F=x25519(f,B9)
mh(F);mk(F);mk(x25519(e,F));mk(x25519(s,F));ck,th,k=hk(ck,v['psk'][0],3);k=k[:32];n=0;mh(th);hp=h
m=F+enc(v['payload'][1]);print(m==v['ciphertext'][1]);print('h',h==v['handshake_hash'][0])
