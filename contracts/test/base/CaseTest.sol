// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { CaseBatches } from "../../cases/CaseBatches.sol";
import { CaseLedger } from "../../cases/CaseLedger.sol";
import { EvidenceGuard } from "../../cases/EvidenceGuard.sol";
import { LifecycleV1 } from "../../cases/LifecycleV1.sol";
import { WorkCalendar } from "../../cases/WorkCalendar.sol";
import { ICaseBatches } from "../../interfaces/ICaseBatches.sol";
import { IEvidenceGuard } from "../../interfaces/ICaseGuards.sol";
import { ICaseLedger } from "../../interfaces/ICaseLedger.sol";
import { ICasePolicy } from "../../interfaces/ICasePolicy.sol";
import { IConsortiumRegistry } from "../../interfaces/IConsortiumRegistry.sol";
import { IEvidenceLog } from "../../interfaces/IEvidenceLog.sol";
import { Consortium } from "./Consortium.sol";
import { ReferenceTree } from "./ReferenceTree.sol";
import { Years } from "./Years.sol";

/// A consortium with a calendar, a log of the centre's, the shipped lifecycle and one imported batch of the bank's.
/// Beside the five of Consortium: mediation body 6, enforcement bureau 7, police 8, second bank 9, second court 10.
abstract contract CaseTest is Consortium {
    uint32 internal constant MEDIATION = 6;
    uint32 internal constant ENFORCEMENT = 7;
    uint32 internal constant POLICE = 8;
    uint32 internal constant OTHER_BANK = 9;
    uint32 internal constant OTHER_COURT = 10;
    uint32 internal constant CASES = 5;

    uint8 internal constant CONTRACT = 1;
    uint8 internal constant STATEMENT = 2;
    uint8 internal constant IDENTITY = 4;
    uint8 internal constant AGREEMENT = 6;
    uint8 internal constant COURT_DOCUMENT = 8;

    string private constant ORIGIN = "centre.example/evidence";
    bytes32 internal constant LOG = keccak256(bytes(ORIGIN));

    WorkCalendar internal calendar;
    EvidenceGuard internal guard;
    LifecycleV1 internal policy;
    CaseBatches internal batches;
    CaseLedger internal ledger;
    bytes32 internal batchRoot;
    bytes32[] private _caseLeaves;
    bytes32[] private _logLeaves;
    IEvidenceLog.Batch private _last;

    function setUp() public virtual {
        vm.warp(GENESIS);
        deploy(_organisations());
        _deployCases();
        vm.startPrank(address(governance));
        for (uint16 year = 2027; year < 2029; ++year) {
            Years.Bits memory bits = Years.weekdays(year);
            calendar.setYear(year, bits.low, bits.high, "weekdays");
        }
        evidence.openLog(ORIGIN, CENTRE, 0);
        ledger.activatePolicy(address(policy));
        vm.stopPrank();
        _importCases();
    }

    // Cases

    function caseId(uint256 which) internal pure returns (bytes32) {
        return keccak256(abi.encode("case", which));
    }

    function origin(uint256 which) internal view returns (ICaseBatches.Origin memory) {
        return ICaseBatches.Origin({
            root: batchRoot,
            index: uint64(which),
            product: 1,
            commitment: keccak256(abi.encode("row", which)),
            path: ReferenceTree.inclusionProof(_caseLeaves, which, 0, CASES)
        });
    }

    function nowhere() internal pure returns (ICaseBatches.Origin memory none) { }

    function request(
        uint256 which,
        uint16 transition,
        uint32 organisation
    )
        internal
        view
        returns (ICaseLedger.Move memory move)
    {
        move.caseId = caseId(which);
        uint32 version = ledger.caseOf(move.caseId).version;
        move.version = version == 0 ? 1 : version;
        move.transition = transition;
        move.organisation = organisation;
        move.validUntil = FOREVER;
    }

    /// A step without evidence by one organisation.
    function step(uint256 which, uint16 transition, uint32 organisation) internal {
        send(request(which, transition, organisation), new IEvidenceGuard.Entry[](0));
    }

    function stepFor(uint256 which, uint16 transition, uint32 organisation, uint16 reason) internal {
        ICaseLedger.Move memory move = request(which, transition, organisation);
        move.reason = reason;
        send(move, new IEvidenceGuard.Entry[](0));
    }

    function stepWith(
        uint256 which,
        uint16 transition,
        uint32 organisation,
        uint32 other,
        IEvidenceGuard.Entry[] memory entries
    )
        internal
    {
        ICaseLedger.Move memory move = request(which, transition, organisation);
        move.coOrganisation = other;
        send(move, entries);
    }

    /// Signs and sends; the evidence digest is that of the entries.
    function send(ICaseLedger.Move memory move, IEvidenceGuard.Entry[] memory entries) internal {
        move.evidence = digestOf(entries);
        bytes memory proof = entries.length == 0 ? bytes("") : abi.encode(entries);
        (bytes memory signature, bytes memory other) = signatures(move);
        ICaseBatches.Origin memory from =
            ledger.caseOf(move.caseId).version == 0 ? originOf(move.caseId) : nowhere();
        vm.prank(relayer);
        ledger.move(move, from, proof, signature, other);
    }

    function signatures(ICaseLedger.Move memory move) internal view returns (bytes memory, bytes memory) {
        bytes memory other = move.coOrganisation == 0 ? bytes("") : signed(actKey(move.coOrganisation), move);
        return (signed(actKey(move.organisation), move), other);
    }

    function digestOf(IEvidenceGuard.Entry[] memory entries) internal pure returns (bytes32) {
        bytes memory ids = "";
        for (uint256 i = 0; i < entries.length; ++i) {
            ids = abi.encodePacked(ids, ReferenceTree.leafHash(entries[i].leaf));
        }
        return entries.length == 0 ? bytes32(0) : keccak256(ids);
    }

    function originOf(bytes32 id) internal view returns (ICaseBatches.Origin memory) {
        for (uint256 i = 0; i < CASES; ++i) {
            if (caseId(i) == id) return origin(i);
        }
        revert("no such case");
    }

    function stageOf(uint256 which) internal view returns (uint8) {
        return ledger.caseOf(caseId(which)).stage;
    }

    // Paths that many tests begin with

    function admit(uint256 which) internal {
        ICaseLedger.Move memory move = request(which, 1, CENTRE);
        send(move, claim(which));
    }

    /// Imports a batch of one case; its root.
    function importOne(uint256 which) internal returns (bytes32 root) {
        root = ReferenceTree.leafHash(
            abi.encodePacked(
                uint8(1), uint8(1), uint16(0), BANK, caseId(which), keccak256(abi.encode("row", which))
            )
        );
        ICaseBatches.Import memory made = ICaseBatches.Import(BANK, root, 1, 0, 0, FOREVER);
        batches.importBatch(made, signed(actKey(BANK), made));
    }

    /// Admits the case of a batch of one.
    function admitFrom(uint256 which, bytes32 root) internal {
        IEvidenceGuard.Entry[] memory entries = claim(which);
        ICaseLedger.Move memory move = request(which, 1, CENTRE);
        move.evidence = digestOf(entries);
        ICaseBatches.Origin memory from =
            ICaseBatches.Origin(root, 0, 1, keccak256(abi.encode("row", which)), new bytes32[](0));
        ledger.move(move, from, abi.encode(entries), signed(actKey(CENTRE), move), "");
    }

    /// Contract and statement of the bank.
    function claim(uint256 which) internal returns (IEvidenceGuard.Entry[] memory entries) {
        entries = new IEvidenceGuard.Entry[](2);
        entries[0] = entry(CONTRACT, BANK, caseId(which), 0);
        entries[1] = entry(STATEMENT, BANK, caseId(which), 0);
    }

    function only(IEvidenceGuard.Entry memory one)
        internal
        pure
        returns (IEvidenceGuard.Entry[] memory entries)
    {
        entries = new IEvidenceGuard.Entry[](1);
        entries[0] = one;
    }

    /// To MEDIATING.
    function mediate(uint256 which) internal {
        admit(which);
        step(which, 7, CENTRE);
        send(request(which, 11, MEDIATION), only(entry(IDENTITY, MEDIATION, caseId(which), 0)));
    }

    /// To FILED, by COURT.
    function file(uint256 which) internal {
        admit(which);
        send(request(which, 26, BANK), claim(which));
        step(which, 39, COURT);
    }

    /// To TRIAL_SMALL.
    function tryIt(uint256 which) internal {
        file(which);
        step(which, 42, COURT);
    }

    // Evidence

    /// An entry that is anchored at once, as leaf of its own batch.
    function entry(
        uint8 class,
        uint32 submitter,
        bytes32 id,
        uint16 flags
    )
        internal
        returns (IEvidenceGuard.Entry memory made)
    {
        bytes32 commitment = sha256(abi.encodePacked("caseledger/case/v1", id));
        uint64 index = uint64(_logLeaves.length);
        made.leaf = abi.encodePacked(
            bytes1(0x01), class, flags, submitter, index + 1, commitment, keccak256("body"), keccak256("sm3")
        );
        _logLeaves.push(ReferenceTree.leafHash(made.leaf));
        _anchor(index, index + 1);
        made.batch = _last;
        made.index = index;
        made.path = ReferenceTree.inclusionProof(_logLeaves, index, 0, index + 1);
    }

    function _anchor(uint64 oldSize, uint64 newSize) private {
        bytes32 root = ReferenceTree.root(_logLeaves, 0, newSize);
        IEvidenceLog.Anchor memory anchor = IEvidenceLog.Anchor(LOG, oldSize, newSize, root, 0, FOREVER);
        bytes32[] memory proof =
            oldSize == 0 ? new bytes32[](0) : ReferenceTree.consistencyProof(_logLeaves, oldSize, newSize);
        bytes32 previous = evidence.link(LOG, evidence.head(LOG).batches);
        (uint64 number,) = evidence.anchor(anchor, proof, signed(anchorKey(CENTRE), anchor));
        _last = IEvidenceLog.Batch(LOG, number, previous, newSize, root, 0, now40());
    }

    // Signatures; the type strings are repeated from docs/spec/case.md, so that a slip in the contracts shows.

    function signed(uint256 key, ICaseLedger.Move memory move) internal view returns (bytes memory) {
        bytes32 typeHash = keccak256(
            "Move(bytes32 caseId,uint32 version,uint16 transition,uint32 organisation,uint32 coOrganisation,uint16 reason,bytes32 evidence,bytes32 statement,bytes32 note,uint40 validUntil)"
        );
        return sign(key, address(ledger), keccak256(abi.encode(typeHash, move)));
    }

    function signed(uint256 key, ICaseLedger.Pause memory pause) internal view returns (bytes memory) {
        bytes32 typeHash = keccak256(
            "Pause(bytes32 caseId,uint32 version,uint32 organisation,uint8 kind,bytes32 basis,uint40 validUntil)"
        );
        return sign(key, address(ledger), keccak256(abi.encode(typeHash, pause)));
    }

    function signed(uint256 key, ICaseLedger.Resume memory resume) internal view returns (bytes memory) {
        bytes32 typeHash = keccak256(
            "Resume(bytes32 caseId,uint32 version,uint32 organisation,uint8 kind,bytes32 basis,uint40 validUntil)"
        );
        return sign(key, address(ledger), keccak256(abi.encode(typeHash, resume)));
    }

    function signed(uint256 key, ICaseLedger.Reverse memory reverse) internal view returns (bytes memory) {
        bytes32 typeHash = keccak256(
            "Reverse(bytes32 caseId,uint32 version,uint32 organisation,uint32 coOrganisation,bytes32 note,uint40 validUntil)"
        );
        return sign(key, address(ledger), keccak256(abi.encode(typeHash, reverse)));
    }

    function signed(uint256 key, ICaseBatches.Import memory made) internal view returns (bytes memory) {
        bytes32 typeHash = keccak256(
            "Import(uint32 organisation,bytes32 root,uint32 count,bytes32 rules,bytes32 totals,uint40 validUntil)"
        );
        return sign(key, address(batches), keccak256(abi.encode(typeHash, made)));
    }

    function signed(uint256 key, ICaseBatches.Recall memory recall) internal view returns (bytes memory) {
        bytes32 typeHash = keccak256("Recall(uint32 organisation,bytes32 root,uint40 validUntil)");
        return sign(key, address(batches), keccak256(abi.encode(typeHash, recall)));
    }

    // Set up

    function _organisations() private pure returns (IConsortiumRegistry.NewOrganisation[] memory genesis) {
        IConsortiumRegistry.NewOrganisation[] memory first = genesisOrganisations();
        genesis = new IConsortiumRegistry.NewOrganisation[](10);
        for (uint256 i = 0; i < 5; ++i) {
            genesis[i] = first[i];
        }
        genesis[5] = newOrganisation(MEDIATION, 1 << 4, false);
        genesis[6] = newOrganisation(ENFORCEMENT, 1 << 6, false);
        genesis[7] = newOrganisation(POLICE, 1 << 8, false);
        genesis[8] = newOrganisation(OTHER_BANK, 1 << 0, false);
        genesis[9] = newOrganisation(OTHER_COURT, 1 << 5, false);
    }

    function _deployCases() private {
        vm.startPrank(deployer);
        calendar = new WorkCalendar(address(registry));
        guard = new EvidenceGuard(address(evidence));
        policy =
            new LifecycleV1(ICasePolicy.Guards(address(calendar), address(guard), address(0), address(0)));
        address expected = vm.computeCreateAddress(deployer, vm.getNonce(deployer) + 1);
        batches = new CaseBatches(address(registry), expected);
        ledger = new CaseLedger(address(registry), address(batches));
        vm.stopPrank();
    }

    function _importCases() private {
        for (uint256 i = 0; i < CASES; ++i) {
            _caseLeaves.push(
                ReferenceTree.leafHash(
                    abi.encodePacked(
                        uint8(1), uint8(1), uint16(0), BANK, caseId(i), keccak256(abi.encode("row", i))
                    )
                )
            );
        }
        batchRoot = ReferenceTree.root(_caseLeaves, 0, CASES);
        ICaseBatches.Import memory made =
            ICaseBatches.Import(BANK, batchRoot, CASES, keccak256("rules"), keccak256("totals"), FOREVER);
        batches.importBatch(made, signed(actKey(BANK), made));
    }
}
