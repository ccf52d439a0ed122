// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { EIP712 } from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";

import { IConsortiumRegistry } from "../interfaces/IConsortiumRegistry.sol";
import { Ids } from "../libraries/Ids.sol";
import { KeySlot, KeySlots } from "../libraries/KeySlot.sol";

/// @title State, genesis and views of the registry
/// @dev Slots 0 and 1 belong to EIP712. Slot 2 is KEYS_SLOT of docs/spec/chain-state.md.
abstract contract RegistryBase is EIP712, IConsortiumRegistry {
    uint8 internal constant ACTIVE = 1;
    uint8 internal constant REMOVED = 2;
    uint40 internal constant UNTIL_LIFTED = type(uint40).max;
    uint40 private constant LONGEST_DELAY = 30 days;

    /// @inheritdoc IConsortiumRegistry
    address public immutable governance;
    /// @inheritdoc IConsortiumRegistry
    uint40 public immutable rotationDelay;

    mapping(address key => KeySlot slot) internal _keys;
    mapping(uint32 index => Organisation organisation) internal _organisations;
    mapping(bytes32 id => uint32 index) private _indexes;
    mapping(address key => uint40 time) internal _acceptableFrom;
    mapping(uint32 interestGroup => uint32 votes) private _groupVotes;
    /// Slot 7: _count 0-31, _votes 32-63, _courts 64-95, _regulators 96-127, _sequence 128-191.
    uint32 private _count;
    uint32 private _votes;
    uint32 private _courts;
    uint32 private _regulators;
    uint64 private _sequence;

    /// @param governance_ the governance contract, which is deployed after this one
    /// @param genesis the first organisations; indexes follow their order
    constructor(
        address governance_,
        uint40 rotationDelay_,
        NewOrganisation[] memory genesis
    )
        EIP712("caseledger", "1")
    {
        if (governance_ == address(0)) revert RegistryGovernanceZero();
        if (rotationDelay_ == 0 || rotationDelay_ > LONGEST_DELAY) {
            revert RegistryRotationDelayInvalid(rotationDelay_);
        }
        governance = governance_;
        rotationDelay = rotationDelay_;
        for (uint256 i = 0; i < genesis.length; ++i) {
            _add(genesis[i]);
        }
        _requireSoundVotes();
    }

    /// @inheritdoc IConsortiumRegistry
    function requireSigner(address key, uint32 index, uint8 purpose) public view {
        _requireActive(index);
        _requireValidKey(key, index, purpose);
    }

    /// @inheritdoc IConsortiumRegistry
    function requireWriter(address key, uint32 index, uint8 purpose) external view {
        _requireUnsuspended(index, _requireActive(index));
        _requireValidKey(key, index, purpose);
    }

    /// @inheritdoc IConsortiumRegistry
    function requireSoundVotes() external view returns (VoteShares memory) {
        return _requireSoundVotes();
    }

    /// @inheritdoc IConsortiumRegistry
    function keySlot(address key) external view returns (uint256) {
        return KeySlot.unwrap(_keys[key]);
    }

    /// @inheritdoc IConsortiumRegistry
    function acceptableFrom(address key) external view returns (uint40) {
        return _acceptableFrom[key];
    }

    /// @inheritdoc IConsortiumRegistry
    function organisation(uint32 index) external view returns (Organisation memory) {
        return _organisations[index];
    }

    /// @inheritdoc IConsortiumRegistry
    function isWriter(uint32 index) external view returns (bool) {
        Organisation storage org = _organisations[index];
        return org.status == ACTIVE && _now() >= org.suspendedUntil;
    }

    /// @inheritdoc IConsortiumRegistry
    function nonceOf(uint32 index) external view returns (uint64) {
        return _organisations[index].nonce;
    }

    /// @inheritdoc IConsortiumRegistry
    function indexOf(bytes32 id) external view returns (uint32) {
        return _indexes[id];
    }

    /// @inheritdoc IConsortiumRegistry
    function organisationCount() external view returns (uint32) {
        return _count;
    }

    /// @inheritdoc IConsortiumRegistry
    function voteShares() public view returns (VoteShares memory shares) {
        shares.votes = _votes;
        shares.courts = _courts;
        shares.regulators = _regulators;
        for (uint32 index = 1; index <= _count; ++index) {
            Organisation storage org = _organisations[index];
            if (!org.vote) continue;
            uint32 group = org.interestGroup;
            uint32 held = _groupVotes[group];
            if (
                held > shares.largestGroupVotes
                    || (held == shares.largestGroupVotes && group < shares.largestGroup)
            ) {
                shares.largestGroup = group;
                shares.largestGroupVotes = held;
            }
        }
    }

    /// @inheritdoc IConsortiumRegistry
    function groupVotes(uint32 interestGroup) external view returns (uint32) {
        return _groupVotes[interestGroup];
    }

    /// @inheritdoc IConsortiumRegistry
    function sequence() external view returns (uint64) {
        return _sequence;
    }

    /// Adds an organisation under the next index.
    function _add(NewOrganisation memory entry) internal returns (uint32 index) {
        if (entry.id == 0 || _indexes[entry.id] != 0) {
            revert RegistryIdInvalid(entry.id, _indexes[entry.id]);
        }
        _requireRoles(entry.roles);
        if (entry.interestGroup == 0) revert RegistryInterestGroupInvalid(0);
        index = ++_count;
        _indexes[entry.id] = index;
        Organisation storage org = _organisations[index];
        org.id = entry.id;
        org.roles = entry.roles;
        org.interestGroup = entry.interestGroup;
        org.status = ACTIVE;
        emit OrganisationAdded(_nextSequence(), index, entry.id, entry.roles, entry.interestGroup, entry.vote);
        if (entry.vote) _giveVote(org);
        bool hasActKey = false;
        for (uint256 i = 0; i < entry.keys.length; ++i) {
            _assign(index, entry.keys[i]);
            hasActKey = hasActKey || entry.keys[i].purpose == Ids.PURPOSE_ACT;
        }
        if (!hasActKey) revert RegistryNoActKey(entry.id);
    }

    /// Gives a key without a rotation. It is never valid for a time before now.
    function _assign(uint32 index, NewKey memory entry) internal {
        uint40 notBefore = entry.notBefore > _now() ? entry.notBefore : _now();
        _requireFreeKey(entry.key, entry.purpose, notBefore, entry.notAfter);
        _keys[entry.key] = KeySlots.pack(index, entry.purpose, notBefore, entry.notAfter, KeySlots.ACTIVE);
        emit KeyAssigned(_nextSequence(), index, entry.key, entry.purpose, notBefore, entry.notAfter);
    }

    function _giveVote(Organisation storage org) internal {
        org.vote = true;
        _votes += 1;
        _groupVotes[org.interestGroup] += 1;
        if (org.roles & Ids.ROLE_COURT != 0) _courts += 1;
        if (org.roles & Ids.ROLE_REGULATOR != 0) _regulators += 1;
    }

    function _takeVote(Organisation storage org) internal {
        org.vote = false;
        _votes -= 1;
        _groupVotes[org.interestGroup] -= 1;
        if (org.roles & Ids.ROLE_COURT != 0) _courts -= 1;
        if (org.roles & Ids.ROLE_REGULATOR != 0) _regulators -= 1;
    }

    function _nextSequence() internal returns (uint64) {
        return ++_sequence;
    }

    function _requireActive(uint32 index) internal view returns (Organisation storage org) {
        org = _organisations[index];
        uint8 status = org.status;
        if (status == REMOVED) revert RegistryOrganisationRemoved(index);
        if (status != ACTIVE) revert RegistryOrganisationUnknown(index);
    }

    function _requireUnsuspended(uint32 index, Organisation storage org) internal view {
        uint40 until = org.suspendedUntil;
        if (_now() < until) revert RegistryOrganisationSuspended(index, until);
    }

    function _requireValidKey(address key, uint32 index, uint8 purpose) private view {
        KeySlot slot = _keys[key];
        if (slot.organisation() != index) revert RegistryKeyOrganisation(key, index, slot.organisation());
        if (slot.purpose() != purpose) revert RegistryKeyPurpose(key, purpose, slot.purpose());
        if (slot.state() != KeySlots.ACTIVE) revert RegistryKeyState(key, KeySlots.ACTIVE, slot.state());
        uint40 time = _now();
        if (time < slot.notBefore()) revert RegistryKeyNotYetValid(key, slot.notBefore(), time);
        if (time > slot.notAfter()) revert RegistryKeyExpired(key, slot.notAfter(), time);
        if (slot.revokedAt() != 0) revert RegistryKeyRevoked(key, slot.revokedAt(), time);
    }

    /// A key's address is used once, whatever became of it.
    function _requireFreeKey(address key, uint8 purpose, uint40 notBefore, uint40 notAfter) internal view {
        if (key == address(0) || !_keys[key].isEmpty()) {
            revert RegistryKeyInvalid(key, _keys[key].organisation());
        }
        if (purpose == 0 || purpose > Ids.LAST_PURPOSE) revert RegistryPurposeInvalid(purpose);
        _requireValidity(notBefore, notAfter);
    }

    function _requireValidity(uint40 notBefore, uint40 notAfter) internal view {
        if (notAfter < notBefore || notAfter < _now()) {
            revert RegistryValidityInvalid(notBefore, notAfter, _now());
        }
    }

    function _requireRoles(uint32 roles) internal pure {
        bool courtAndRegulator = roles & Ids.ROLE_COURT != 0 && roles & Ids.ROLE_REGULATOR != 0;
        if (roles == 0 || roles > Ids.ALL_ROLES || courtAndRegulator) revert RegistryRolesInvalid(roles);
    }

    function _requireSoundVotes() internal view returns (VoteShares memory shares) {
        shares = voteShares();
        if (shares.courts == 0) revert RegistryNoCourt();
        if (shares.regulators == 0) revert RegistryNoRegulator();
        if (uint256(shares.largestGroupVotes) * 3 >= shares.votes) {
            revert RegistryInterestGroupTooLarge(shares.largestGroup, shares.largestGroupVotes, shares.votes);
        }
    }

    function _now() internal view returns (uint40) {
        return uint40(block.timestamp);
    }
}
